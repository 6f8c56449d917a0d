# SPDX-License-Identifier: Apache-2.0
"""The server's commands as they are typed; what they do is proved where it is done."""

from __future__ import annotations

from pathlib import Path

import pytest
from imagier_client.cli import main
from imagier_server.settings import Settings

REPOSITORY = Path(__file__).parents[3] / "model_repository"


def test_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--repository", str(REPOSITORY)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("tagger ")
    assert "captioner=blip-base: weights BSD-3-Clause" in out


def test_a_folder_without_models_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify", str(tmp_path)]) == 1
    assert main(["models", "copy", str(tmp_path), str(tmp_path / "copy")]) == 1
    assert capsys.readouterr().err.splitlines() == [f"imagier models: {tmp_path}: no models there"] * 2
    assert main(["models", "install", "--repository", str(tmp_path)]) == 1
    assert "it is not a model repository" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        ["models"],
        ["models", "instal"],
        ["models", "install", "--accept", "all"],
        ["models", "verify"],
        ["models", "copy", "one"],
        ["engine"],
        ["engine", "install", "now"],
        ["doctor", "--format", "xml"],
        ["keys", "create", "--ledger", "ledger.db"],
        ["keys", "create", "library"],
        ["credits", "grant", "library", "--ledger", "ledger.db", "1.5"],
        ["serve", "--prot", "1"],
        ["serve", "--port"],
        ["serve", "--port", "70000"],
        ["serve", "now"],
    ],
)
def test_wrong_usage_is_one_line(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(wrong) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"imagier {wrong[0]}")
    assert err.count("\n") == 1


def test_the_help_of_serve_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["serve", "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    flags = [f"--{name.replace('_', '-')}" for name in Settings.model_fields]
    assert [flag for flag in flags if flag not in out] == []


@pytest.mark.parametrize("command", [["models"], ["engine"], ["doctor"], ["keys"], ["credits"], ["models", "install"]])
def test_each_has_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert f"Usage: imagier {' '.join(command)} " in capsys.readouterr().out
