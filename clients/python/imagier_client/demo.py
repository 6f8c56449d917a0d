# SPDX-License-Identifier: Apache-2.0
"""`make demo`: photographs and drawn pictures through a server of our own, printed as a table, drawn to `demo-out/`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from imagier_client import samples
from imagier_client.annotating import annotate

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "page")
OUTPUT = Path("demo-out")


def write_samples(folder: Path) -> None:
    """Writes scikit-image's photographs and our own drawings into `folder`."""
    from skimage import data  # noqa: PLC0415 - brings numpy, which the client does not need

    pictures = {name: Image.fromarray(getattr(data, name)()) for name in PHOTOGRAPHS}
    pictures |= {"street-sign": samples.street_sign(), "receipt": samples.receipt()}
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png")


def run() -> int:
    """Returns the exit status of `imagier annotate`."""
    with tempfile.TemporaryDirectory(prefix="imagier-demo-") as folder:
        write_samples(Path(folder))
        return annotate([folder, "--languages", "en,fr", "--draw", str(OUTPUT), *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(run())
