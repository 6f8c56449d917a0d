# SPDX-License-Identifier: Apache-2.0
"""Writes the pictures that the page at / offers to try: those of samples.py, small, and smaller still for the buttons.

Run it as `python examples/page_examples.py FOLDER`; without a folder it writes those of the page itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

import samples
from PIL import Image

PAGE = Path(__file__).parents[1] / "server/imagier_server/transport/http/page/examples"
PICTURES = {"street-sign": samples.street_sign, "receipt": samples.receipt, "tea-house": samples.tea_house}
BUTTON = (180, 240)


def write(folder: Path) -> None:
    """Write NAME.webp and NAME-small.webp of each picture."""
    for name, draw in PICTURES.items():
        picture = draw()
        picture.save(folder / f"{name}.webp", quality=75, method=6)
        small = picture.resize(BUTTON, Image.Resampling.LANCZOS)
        small.save(folder / f"{name}-small.webp", quality=80, method=6)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE)
