# SPDX-License-Identifier: Apache-2.0
"""A scripted server, and a folder of pictures."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from PIL import Image
from support.scripted_annotator import (
    Scripted,
    serving,
)


@pytest.fixture
def script() -> Scripted:
    return Scripted(image_bytes=2**20)


@pytest.fixture
async def server(script: Scripted) -> AsyncIterator[str]:
    async with serving(script) as address:
        yield address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "summer").mkdir(parents=True)
    for name, colour in (("b.jpg", "navy"), ("a.png", "teal"), ("summer/c.webp", "olive")):
        Image.new("RGB", (100, 80), colour).save(folder / name)
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """As at a terminal. What a shell starts in its background ignores Ctrl-C, and hands that on: these tests may be that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
