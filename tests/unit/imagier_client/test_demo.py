# SPDX-License-Identifier: Apache-2.0
"""The demonstration's pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from imagier_client import demo
from PIL import Image


def test_it_annotates_photographs_and_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, tuple[int, int]] = {}

    def annotate(arguments: list[str]) -> int:
        for path in Path(arguments[0]).iterdir():
            with Image.open(path) as picture:
                seen[path.stem] = picture.size
        assert arguments[1:] == ["--languages", "en,fr", "--draw", "demo-out", "--server", "there"]
        return 5

    monkeypatch.setattr(demo, "annotate", annotate)
    monkeypatch.setattr("sys.argv", ["demo", "--server", "there"])
    assert demo.run() == 5
    assert sorted(seen) == ["astronaut", "chelsea", "coffee", "page", "receipt", "rocket", "street-sign"]
    assert all(min(size) > 100 for size in seen.values())
