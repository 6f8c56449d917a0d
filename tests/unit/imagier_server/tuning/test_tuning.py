# SPDX-License-Identifier: Apache-2.0
"""`imagier tune` from its arguments to its exit status, where there is nothing to measure; tests/e2e/test_tune.py measures."""

from __future__ import annotations

from pathlib import Path

import pytest
from imagier_client.cli import main
from imagier_server import tuning


def test_without_models_it_says_what_to_do_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").mkdir()
    assert main(["tune", "--repository", str(tmp_path / "models")]) == tuning.FAILED
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("imagier tune: no models in ")
    assert "run `imagier models install` first" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["models"]
