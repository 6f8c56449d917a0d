# SPDX-License-Identifier: Apache-2.0
"""Pictures that `make bench` sends: drawn, or made of scikit-image's photographs, the same everywhere; or those of a folder.

Every contender gets the same files. The photographs of a library differ: most are large and hold no text.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from ocr_corpus import PROSE
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import pictures
import samples
from imagier_client.drawing.fonts import font_for

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
COCO = (640, 480)
"""The usual size of a photograph of COCO."""
_SIGN = (420, 560)
_SEED = 5


def receipts() -> list[Image.Image]:
    """A photographed receipt of 30 lines, from nearer and from farther."""
    whole = samples.receipt()
    return [whole.resize((round(whole.width * scale), round(whole.height * scale))) for scale in (1.0, 1.5, 0.75)]


def pages() -> list[Image.Image]:
    """Two printed pages of A4 at 150 pixels an inch, English and French."""
    return [_page(language) for language in ("en", "fr")]


def photographs() -> list[Image.Image]:
    """Photographs of 3 megapixels without text: the real ones side by side at their own resolution, in several orders."""
    from skimage import data

    names = ("coffee", "chelsea", "hubble_deep_field", "retina")
    return [
        _mosaic([np.asarray(getattr(data, name)()) for name in order])
        for order in (names, names[1:] + names[:1], names[2:] + names[:2])
    ]


def small() -> list[Image.Image]:
    """Photographs of the size of COCO's: one of them has a few words, badges on a suit."""
    from skimage import data

    names = ("coffee", "chelsea", "rocket", "astronaut", "hubble_deep_field", "retina", "immunohistochemistry")
    return [_cover(Image.fromarray(np.asarray(getattr(data, name)())), COCO) for name in names]


def signs() -> list[Image.Image]:
    """Photographs with text: a street sign, a tea house in three scripts, and the sign in a photograph of 3 megapixels."""
    street, tea = samples.street_sign(), samples.tea_house()
    large = photographs()[0]
    large.paste(street.resize(_SIGN), (900, 500))
    return [street, tea, large]


def library() -> list[Image.Image]:
    """A dozen as of a library: five large photographs and four small ones without text, two with text, and a receipt."""
    mixed = [*photographs(), *photographs()[:2], *small()[:3], small()[4], *signs()[:2], receipts()[0]]
    random.Random(_SEED).shuffle(mixed)
    return mixed


SETS: Mapping[str, Callable[[], Sequence[Image.Image]]] = {
    "receipts": receipts,
    "pages": pages,
    "photographs": photographs,
    "small": small,
    "signs": signs,
    "library": library,
}


def files(name: str, folder: Path, given: Mapping[str, Path]) -> list[Path]:
    """The files of a set: those in the folder `given` for it, else made in `folder`."""
    if name in given:
        found = sorted(path for path in given[name].iterdir() if path.suffix.lower() in SUFFIXES)
        if not found:
            raise SystemExit(f"no pictures in the folder given for {name}")
        return found
    made = []
    for number, picture in enumerate(SETS[name]()):
        path = folder / f"{name}-{number}.jpg"
        picture.convert("RGB").save(path, "JPEG", quality=pictures.QUALITY)
        made.append(path)
    return made


def photograph(folder: Path) -> list[Path]:
    """The one of 3 megapixels that throughput.py sends."""
    path = folder / "photograph.jpg"
    path.write_bytes(pictures.mosaic())
    return [path]


def tiny(folder: Path) -> list[Path]:
    """One that takes as little decoding as any."""
    path = folder / "tiny.jpg"
    path.write_bytes(pictures.small(64))
    return [path]


def _page(language: str) -> Image.Image:
    page = Image.new("RGB", (1240, 1754), (255, 255, 255))
    draw = ImageDraw.Draw(page)
    words = " ".join(PROSE[language]).split()
    font = font_for("".join(words), 26)
    if font is None:
        raise SystemExit("no font for the pages: install the extra drawing")
    following = itertools.cycle(words)
    for top in range(120, 1640, 40):
        line = next(following)
        while draw.textlength(longer := f"{line} {(word := next(following))}", font) < 1000:
            line = longer
        following = itertools.chain([word], following)
        draw.text((120, top), line, (20, 20, 24), font)
    return page


def _mosaic(parts: Sequence[np.ndarray]) -> Image.Image:
    """The photographs in rows, the next row from another one on."""
    whole = Image.new("RGB", pictures.SIZE)
    following = itertools.cycle(Image.fromarray(part) for part in parts)
    top = 0
    while top < whole.height:
        left = lowest = 0
        while left < whole.width:
            part = next(following)
            whole.paste(part, (left, top))
            left += part.width
            lowest = min(lowest or part.height, part.height)
        top += lowest
    return whole


def _cover(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scaled until it covers `size`, and cut."""
    scale = max(size[0] / picture.width, size[1] / picture.height)
    scaled = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)
    left, top = (scaled.width - size[0]) // 2, (scaled.height - size[1]) // 2
    return scaled.crop((left, top, left + size[0], top + size[1]))
