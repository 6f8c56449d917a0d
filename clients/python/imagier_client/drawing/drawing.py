# SPDX-License-Identifier: Apache-2.0
"""A copy of each picture that shows what was found: numbered boxes where it stands, and the list of all with scores and times."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageOps, ImageStat

from imagier_client.drawing import DrawingError
from imagier_client.drawing.legend import Colour, chip, chip_size, fitting_legend, readable
from imagier_client.files.paths import STDIN, UNNAMED
from imagier_client.files.targets import Targets, whole
from imagier_client.messages import Annotation
from imagier_client.tasks.registry import sections

# Dark enough for white digits on them; with a white rim they stand out from any ground.
_COLOURS = ((190, 0, 95), (0, 82, 204), (0, 112, 60), (160, 70, 0), (110, 40, 180), (0, 105, 125))
_WHITE = (255, 255, 255)
_SMALLEST_SIDE, _LARGEST_SIDE = (
    900,
    5000,
)  # of a copy: no number would be readable in a smaller one, nobody looks at a larger one
_MOST_ENLARGED = 8
_WIDE = 1.8  # width by height from which the list is below the picture
_FINE = 3
_BITS_PER_SAMPLE, _MAX_SAMPLE_VALUE = 258, 281  # TIFF 6.0
Box = tuple[float, float, float, float]
Place = tuple[float, float]


class Drawings:
    """The copies of one run, all in one folder, which is made. None replaces one of `pictures` or another copy of this run.

    `undrawn` is whether any text had characters that no font here has. Raises OSError if the folder cannot be made.
    """

    def __init__(self, folder: Path, pictures: Iterable[Path]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(ImportError):  # comes with the server's extra; Pillow alone does not know HEIC
            import pi_heif  # noqa: PLC0415

            pi_heif.register_heif_opener(thumbnails=False)
        # The server has judged the size already.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        self._folder = folder
        self._targets = Targets(pictures)
        self.undrawn = False

    def draw(self, path: Path, annotation: Annotation, content: bytes | None = None) -> Path:
        """Writes `<name>.annotated.jpg` for a JPEG, `….png` for anything else; returns where. Raises DrawingError.

        `content` are the picture's bytes, if no file holds them.
        """
        lines = (line for _, _, section in sections(annotation.results) for line in section.lines)
        self.undrawn |= any(not readable(line) for line in lines)
        try:
            with Image.open(path if content is None else io.BytesIO(content)) as source:
                jpeg = source.format in {"JPEG", "MPO"}
                options: dict[str, Any] = (
                    {"format": "JPEG", "quality": 92, "subsampling": 0} if jpeg else {"format": "PNG"}
                )
                if source.mode in {"RGB", "RGBA"}:  # what the numbers of its colours mean
                    options["icc_profile"] = source.info.get("icc_profile")
                picture = _upright(source)
        except Exception as error:  # Pillow raises anything on a broken file
            # Pillow's own texts may hold the path; ours is known to the caller.
            raise DrawingError(getattr(error, "strerror", None) or "Pillow cannot read it") from error
        drawn = annotated(picture, annotation)
        name = UNNAMED if path == STDIN else path.stem
        target = self._targets.take(self._folder, name, f".annotated.{'jpg' if jpeg else 'png'}")
        try:
            with whole(target) as file:
                drawn.save(file, **options)
        except (OSError, ValueError) as error:
            raise DrawingError(getattr(error, "strerror", None) or "Pillow cannot write it") from error
        return target


def annotated(picture: Image.Image, annotation: Annotation) -> Image.Image:
    """`picture` (upright, RGB) with a box around each line that has an outline, and the list beside it; below, if it is wide."""
    picture = _resized(picture)
    size = width, height = picture.size
    lines = (line for _, _, section in sections(annotation.results) for line in section.lines)
    outlines = [[(p.x * width, p.y * height) for p in line.outline] for line in lines if line.outline]
    fonts = [_chip_font(outline, size) for outline in outlines]
    chips = _chips(outlines, fonts, size)
    # Where text begins at the very edge, its number goes outside the picture.
    gutter = max([0, *(math.ceil(-left) for left, _, _, _ in chips)])
    font = max(15, round(math.sqrt(width * height) / 50))
    if width > _WIDE * height:
        room = gutter + width, max(height, round(0.4 * width), 26 * font)
        legend = fitting_legend(annotation, room, font, spread=True)
        place, whole_size = (0, height), (max(gutter + width, legend.width), height + legend.height)
    else:
        room = max(round(0.45 * max(size)), 600), max(height, 26 * font)
        legend = fitting_legend(annotation, room, font)
        place, whole_size = (gutter + width, 0), (gutter + width + legend.width, max(height, legend.height))
    canvas = Image.new("RGB", whole_size, _WHITE)
    canvas.paste(picture, (gutter, 0))
    strokes = [max(1.0, min(font / 7, math.dist(o[0], o[3]) / 20)) for o, font in zip(outlines, fonts, strict=True)]
    # All the white first: where boxes overlap, none wipes out another.
    for rim in (True, False):
        for number, (outline, stroke) in enumerate(zip(outlines, strokes, strict=True), 1):
            ink, wide = (_WHITE, stroke * 2) if rim else (colour_of(number), stroke)
            _frame(canvas, [(x + gutter, y) for x, y in outline], ink, wide)
    for number, ((x0, y0, x1, y1), digits) in enumerate(zip(chips, fonts, strict=True), 1):
        chip(canvas, ((x0 + x1) / 2 + gutter, (y0 + y1) / 2), number, digits, colour_of(number))
    edge = [(gutter, height), (gutter + width, height), (gutter + width, 0)]
    ImageDraw.Draw(canvas).line(edge, (222, 226, 230))  # where a white page ends
    legend.draw(canvas, place, colour_of)
    return canvas


def colour_of(number: int) -> Colour:
    """The colour of the line with this number, from 1."""
    return _COLOURS[(number - 1) % len(_COLOURS)]


def _upright(source: Image.Image) -> Image.Image:
    source.seek(0)
    if source.mode in {"L", "RGB", "RGBA", "CMYK"}:
        # In place and first of all: what follows makes copies.
        source.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    source.load()
    with suppress(Exception):  # broken metadata, on which Pillow raises anything: upright, as the server has it
        ImageOps.exif_transpose(source, in_place=True)
    picture: Image.Image = source
    if picture.mode.startswith(("I", "F")):
        picture = _eight_bits(picture, getattr(source, "tag_v2", {}))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        seen = picture.getchannel("A").point(lambda alpha: 255 * (alpha > 127))
        # As the server does: light lettering would vanish on white.
        light = ImageStat.Stat(picture.convert("L"), seen).mean[0] >= 200 if seen.getbbox() else False
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (0, 0, 0) if light else _WHITE), picture)
    return picture.convert("RGB")


def _eight_bits(picture: Image.Image, tags: Mapping[int, Any]) -> Image.Image:
    """Greys of more than 8 bits over the range that the server takes; `tags` are a TIFF's."""
    sixteen = picture.mode.startswith("I;16")
    picture = picture.convert("F")
    extrema: Any = picture.getextrema()
    low, high = extrema
    if sixteen:
        (bits,) = tags.get(_BITS_PER_SAMPLE, (16,))
        match tags.get(_MAX_SAMPLE_VALUE):
            case (int(value), *_) if max(high, 1) <= value < 2**bits:
                low, high = 0, value
            case _:
                low, high = 0, 2**bits - 1
    elif low >= 0 and high <= 255:
        low, high = 0, 1 if high <= 1 else 255
    factor = 255 / ((high - low) or 1)
    return picture.point(lambda value: value * factor - low * factor).convert("L")


def _resized(picture: Image.Image) -> Image.Image:
    longest = max(picture.size)
    if longest > _LARGEST_SIDE:
        width, height = (max(1, round(side * _LARGEST_SIDE / longest)) for side in picture.size)
        return picture.resize((width, height), Image.Resampling.LANCZOS)
    # A strip of a few pixels would become a wall.
    factor = min(math.ceil(_SMALLEST_SIDE / longest), _MOST_ENLARGED)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.BICUBIC)


def _frame(canvas: Image.Image, outline: Sequence[Place], colour: Colour, stroke: float) -> None:
    """A line around the outline, drawn finer than the picture, for smooth edges."""
    margin = math.ceil(stroke)
    left, top = (math.floor(min(along)) - margin for along in zip(*outline, strict=True))
    right, bottom = (math.ceil(max(along)) + margin for along in zip(*outline, strict=True))
    closed = [((x - left) * _FINE, (y - top) * _FINE) for x, y in [*outline, *outline[:2]]]
    mask = Image.new("L", ((right - left) * _FINE, (bottom - top) * _FINE))
    ImageDraw.Draw(mask).line(closed, 255, round(stroke * _FINE), "curve")
    canvas.paste(colour, (left, top), mask.resize((right - left, bottom - top), Image.Resampling.BOX))


def _chip_font(outline: Sequence[Place], size: tuple[int, int]) -> int:
    """Numbers are no higher than their lines, so that those of dense print do not cover each other."""
    high = math.dist(outline[0], outline[3])
    return round(min(max(10, high * 0.6), max(13, max(size) / 70)))


def _chips(outlines: Sequence[Sequence[Place]], fonts: Sequence[int], size: tuple[int, int]) -> list[Box]:
    """Room for each line's number at one of its ends or sides, where it covers least; left of the picture if need be."""
    taken: list[Box] = []
    for outline in outlines:
        across, down = zip(*outline, strict=True)
        taken.append((min(across), min(down), max(across), max(down)))
    placed: list[Box] = []
    for number, (outline, font) in enumerate(zip(outlines, fonts, strict=True), 1):
        width, height = chip_size(number, font)
        top, bottom = taken[number - 1][1] - 2 * height, taken[number - 1][3] + 2 * height
        near = [box for place, box in enumerate(taken) if box[1] < bottom and box[3] > top and place != number - 1]
        boxes = list(_beside(outline, (width, height), size))
        covered = [sum(_common(box, other) for other in near) for box in boxes]
        # Numbers in one column look better than a little less overlap.
        covered[0] -= width * height / 4
        placed.append(boxes[covered.index(min(covered))])
        taken.append(placed[-1])
    return placed


def _beside(outline: Sequence[Place], chip: tuple[float, float], size: tuple[int, int]) -> Iterable[Box]:
    """Before the line, after it, over its beginning, under its beginning; within the picture, or left of it."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = outline
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    right, down = (x1 - x0) / length, (y1 - y0) / length
    half_width, half_height = chip[0] / 2, chip[1] / 2
    along = abs(right) * half_width + abs(down) * half_height
    across = abs(down) * half_width + abs(right) * half_height
    gap = chip[1] / 6
    for x, y, forward, sideways in (
        ((x0 + x3) / 2, (y0 + y3) / 2, -along - gap, 0.0),
        ((x1 + x2) / 2, (y1 + y2) / 2, along + gap, 0.0),
        (x0, y0, along, -across - gap),
        (x3, y3, along, across + gap),
    ):
        middle_x = min(x + forward * right - sideways * down, size[0] - half_width)
        middle_y = min(max(y + forward * down + sideways * right, half_height), size[1] - half_height)
        yield middle_x - half_width, middle_y - half_height, middle_x + half_width, middle_y + half_height


def _common(one: Sequence[float], other: Sequence[float]) -> float:
    """The area that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0
