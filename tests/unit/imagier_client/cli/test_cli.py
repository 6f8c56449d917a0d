# SPDX-License-Identifier: Apache-2.0
"""The command where its packages are, and where they are not."""

from __future__ import annotations

import sys

import pytest
from imagier_client.cli import main


def test_without_its_packages_it_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    for module in [name for name in sys.modules if name.startswith("imagier_client.cli.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delattr("imagier_client.cli.commands", raising=False)
    assert main(["--version"]) == 3
    assert capsys.readouterr().err.endswith("is not installed; run: pip install 'imagier[cli]'\n")
