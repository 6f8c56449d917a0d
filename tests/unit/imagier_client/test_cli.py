# SPDX-License-Identifier: Apache-2.0
"""The command's first word: what is there, what is missing, what is said of it."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import imagier_client
import pytest
from imagier_client import cli


def echo(argv: list[str]) -> int:
    print(argv)
    return 7


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        EntryPoint("serve", "no_such_module:serve", "imagier.commands"),
        EntryPoint("echo", f"{__name__}:echo", "imagier.commands"),
    ]
    monkeypatch.setattr(cli, "entry_points", lambda group: entries)
    monkeypatch.setattr(EntryPoint, "load", load)


def load(entry: EntryPoint) -> Any:
    if entry.name == "echo":
        return echo
    raise ModuleNotFoundError("No module named 'no_such_module'")


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"imagier {imagier_client.__version__}\n"


@pytest.mark.usefixtures("installed")
def test_an_installed_command_gets_its_arguments_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--version", "-x", "--", "a", "--help"]
    assert cli.main(["echo", *arguments]) == 7
    assert capsys.readouterr().out == f"{arguments}\n"


@pytest.mark.usefixtures("installed")
def test_a_command_whose_packages_are_missing_says_how_to_get_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "--port", "0"]) == 3
    assert cli.SERVER_HINT in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["unheard-of"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage: imagier" in capsys.readouterr().err


def test_help_of_annotate_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["annotate", "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    for flag in (
        "--tasks",
        "--languages",
        "--format",
        "--draw",
        "--server",
        "--concurrency",
        "--max-tags",
        "--min-score",
    ):
        assert flag in out
