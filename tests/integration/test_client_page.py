# SPDX-License-Identifier: Apache-2.0
"""The Python examples of the pages run as they stand, in a folder with a few pictures, before a scripted server."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest
from PIL import Image
from support.scripted_annotator import Scripted, serving

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("client.md", "start/developer.md")
EXAMPLES = [
    example
    for page in PAGES
    for example in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
async def test_an_example_runs(number: int, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg", "photos/b.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    async with serving(Scripted(image_bytes=10_000)) as address:
        assert "127.0.0.1:8500" in EXAMPLES[number]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            EXAMPLES[number].replace("127.0.0.1:8500", address),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, err) == (0, b"")
    assert b"Egyptian cat" in out + b"".join(documents(tmp_path))


def documents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.glob("photo.*") if path.suffix != ".jpg"]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 5
