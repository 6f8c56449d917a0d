# SPDX-License-Identifier: Apache-2.0
"""The demonstration's pictures."""

from __future__ import annotations

from pathlib import Path

import demo
import pytest
from PIL import Image


def test_it_annotates_photographs_and_drawings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}

    def annotate(arguments: list[str]) -> int:
        assert arguments.pop(0) == "annotate"
        for argument in arguments[:8]:
            with Image.open(argument) as picture:
                seen[argument] = picture.size
        assert arguments[8:] == [
            "--tasks",
            "tags,caption,ocr",
            "--languages",
            "en,fr",
            "--draw",
            "demo-out",
            "--server",
            "there",
        ]
        return 5

    monkeypatch.setattr(demo, "main", annotate)
    monkeypatch.chdir(tmp_path)
    assert demo.run(["--server", "there"]) == 5
    names = ("astronaut", "chelsea", "coffee", "rocket", "page", "street-sign", "receipt", "tea-house")
    assert list(seen) == [f"demo-out/{name}.png" for name in names]
    assert all(min(size) > 100 for size in seen.values())
