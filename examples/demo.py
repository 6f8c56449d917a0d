# SPDX-License-Identifier: Apache-2.0
"""`make demo`: photographs and drawn pictures through a server of our own, printed as a table, drawn to `demo-out/`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import samples
from imagier_client.cli import main
from PIL import Image
from skimage import data

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "page")
OUTPUT = Path("demo-out")


def write_samples(folder: Path) -> list[Path]:
    """Writes scikit-image's photographs and our own drawings into `folder`; returns their paths."""
    pictures = {name: Image.fromarray(getattr(data, name)()) for name in PHOTOGRAPHS}
    pictures |= {"street-sign": samples.street_sign(), "receipt": samples.receipt(), "tea-house": samples.tea_house()}
    folder.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png")
    return [folder / f"{name}.png" for name in pictures]


def run(arguments: Sequence[str]) -> int:
    """Returns the exit status of `imagier annotate`. The originals lie beside the copies, for comparison."""
    paths = map(str, write_samples(OUTPUT))
    wanted = ["--tasks", "tags,caption,ocr", "--languages", "en,fr", "--draw", str(OUTPUT)]
    return main(["annotate", *paths, *wanted, *arguments])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
