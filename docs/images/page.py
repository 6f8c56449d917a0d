# SPDX-License-Identifier: Apache-2.0
"""Photographs the page of a running server for the documentation: PYTHONPATH=tests python docs/images/page.py ADDRESS."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image
from support.browser import chromium

PICTURE = Path(__file__).with_name("page.jpg")
SIZE = (1280, 820)


def photograph(address: str) -> None:
    """Have the street sign read, and write PICTURE."""
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder)) as page:
        page.open(address, width=SIZE[0], height=SIZE[1])
        page.until("document.querySelector('input[value=fr]')")
        page.find("input[value=fr]").click()
        page.find("#task-caption").click()  # it has nothing to say about a drawing
        page.find("[data-example=street-sign]").click()
        page.until("document.body.dataset.state === 'answered'")
        shot = Path(folder) / "page.png"
        page.screenshot(shot, *SIZE)
        Image.open(shot).convert("RGB").save(PICTURE, quality=82, optimize=True, progressive=True)


if __name__ == "__main__":
    photograph(sys.argv[1])
