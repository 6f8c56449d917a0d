# SPDX-License-Identifier: Apache-2.0
"""A copy of each picture that shows what was read: numbered boxes around the text, and beside it the tags and the lines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from imagier_client.fonts import plain
from imagier_client.legend import Colour, fitting_legend
from imagier_client.messages import Annotation
from imagier_client.targets import Targets, whole

# Dark enough for white digits on them; with a white rim they stand out from any ground.
_COLOURS = ((190, 0, 95), (0, 82, 204), (0, 112, 60), (160, 70, 0))
_WHITE = (255, 255, 255)
_SMALLEST_SIDE = 900  # smaller pictures are enlarged, or no number would be readable
_FINE = 3
Box = tuple[float, float, float, float]


class DrawingError(Exception):
    """The picture could not be drawn or the copy not be written."""


class Drawings:
    """The copies of one run, all in one folder, which is made. None replaces one of `pictures` or another copy of this run.

    Raises OSError if the folder cannot be made.
    """

    def __init__(self, folder: Path, pictures: Iterable[Path]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(ImportError):  # comes with the server's extra; Pillow alone does not know HEIC
            import pi_heif  # noqa: PLC0415

            pi_heif.register_heif_opener(thumbnails=False)
        self._folder = folder
        self._targets = Targets(pictures)

    def draw(self, path: Path, annotation: Annotation) -> Path:
        """Writes `<name>.annotated.jpg` for a JPEG, `….png` for anything else; returns where. Raises DrawingError."""
        try:
            with Image.open(path) as source:
                suffix = ".jpg" if source.format in {"JPEG", "MPO"} else ".png"
                picture = _upright(source)
            drawn = annotated(picture, annotation)
            target = self._targets.take(self._folder, path.stem, f".annotated{suffix}")
            with whole(target) as file:
                drawn.save(file, "JPEG" if suffix == ".jpg" else "PNG", quality=92, subsampling=0)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            # Pillow's own texts may hold the path; ours is known to the caller.
            raise DrawingError(getattr(error, "strerror", None) or "Pillow cannot read it") from error
        return target


def annotated(picture: Image.Image, annotation: Annotation) -> Image.Image:
    """`picture` (upright, RGB) with the text boxes of `annotation`, and a margin on the right that lists tags and lines."""
    picture = _enlarged(picture)
    lines = annotation.text.lines if annotation.text else ()
    outlines = [[(p.x * picture.width, p.y * picture.height) for p in line.normalized_polygon] for line in lines]
    badges = [_badge(outline, number, picture.size) for number, outline in enumerate(outlines, 1)]
    # Where text begins at the very edge, its number goes outside the picture.
    gutter = max([0, *(math.ceil(-badge[0]) for badge in badges)])
    legend = fitting_legend(annotation, picture.height, max(280, picture.width * 2 // 5))
    left = gutter + picture.width
    canvas = Image.new("RGB", (left + legend.width, max(picture.height, legend.height)), _WHITE)
    canvas.paste(picture, (gutter, 0))
    stroke = max(2, round(max(picture.size) / 500))
    for number, outline in enumerate(outlines, 1):
        _frame(canvas, [(x + gutter, y) for x, y in outline], colour_of(number), stroke)
    draw = ImageDraw.Draw(canvas)
    font = plain(_badge_font(picture.size))
    for number, (x0, y0, x1, y1) in enumerate(badges, 1):
        box = (x0 + gutter, y0, x1 + gutter, y1)
        draw.rounded_rectangle(box, (y1 - y0) / 4, colour_of(number), _WHITE)
        draw.text(((box[0] + box[2]) / 2, (y0 + y1) / 2), str(number), _WHITE, font, anchor="mm")
    legend.draw(draw, left, colour_of)
    return canvas


def colour_of(number: int) -> Colour:
    """The colour of the line with this number, from 1."""
    return _COLOURS[(number - 1) % len(_COLOURS)]


def _upright(source: Image.Image) -> Image.Image:
    source.seek(0)
    picture = ImageOps.exif_transpose(source)
    if picture.mode.startswith("I"):  # 16 bits of grey
        picture = picture.convert("I").point(lambda value: value * (1 / 257) + 0).convert("L")
    if picture.has_transparency_data:
        ground = Image.new("RGBA", picture.size, _WHITE)
        picture = Image.alpha_composite(ground, picture.convert("RGBA"))
    return picture.convert("RGB")


def _enlarged(picture: Image.Image) -> Image.Image:
    factor = math.ceil(_SMALLEST_SIDE / max(picture.size))
    if factor == 1:
        return picture.copy()
    # A strip of a few pixels would become a wall.
    factor = min(factor, 8)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.BICUBIC)


def _frame(canvas: Image.Image, outline: Sequence[tuple[float, float]], colour: Colour, stroke: int) -> None:
    """A line in `colour` between two white ones, drawn finer than the picture, for smooth edges."""
    margin = stroke * 2
    left, top = (math.floor(min(along)) - margin for along in zip(*outline, strict=True))
    right, bottom = (math.ceil(max(along)) + margin for along in zip(*outline, strict=True))
    closed = [((x - left) * _FINE, (y - top) * _FINE) for x, y in [*outline, *outline[:2]]]
    size = (right - left, bottom - top)
    for width, ink in ((stroke * 2, _WHITE), (stroke, colour)):
        mask = Image.new("L", (size[0] * _FINE, size[1] * _FINE))
        ImageDraw.Draw(mask).line(closed, 255, width * _FINE, "curve")
        canvas.paste(ink, (left, top), mask.resize(size, Image.Resampling.BOX))


def _badge(outline: Sequence[tuple[float, float]], number: int, size: tuple[int, int]) -> Box:
    """Room for the line's number before the edge where reading begins; left of the picture if need be, else inside it."""
    height = _badge_font(size) * 1.3
    half_width, half_height = (plain(_badge_font(size)).getlength(str(number)) + height / 2) / 2, height / 2
    (x0, y0), (x1, y1), (x3, y3) = outline[0], outline[1], outline[3]
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    x = (x0 + x3) / 2 - (x1 - x0) / length * (half_width + 4)
    y = (y0 + y3) / 2 - (y1 - y0) / length * (half_height + 4)
    x = min(x, size[0] - half_width)
    y = min(max(y, half_height), size[1] - half_height)
    return (x - half_width, y - half_height, x + half_width, y + half_height)


def _badge_font(size: tuple[int, int]) -> int:
    return max(13, round(max(size) / 75))
