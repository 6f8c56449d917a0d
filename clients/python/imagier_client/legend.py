# SPDX-License-Identifier: Apache-2.0
"""The list beside a drawn picture: its tags, and its lines of text by number; as large as there is room for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import ImageDraw

from imagier_client.errors import ImagierClientError
from imagier_client.fonts import Font, drawable, font_for, plain
from imagier_client.messages import Annotation

Colour = tuple[int, int, int]

_SMALLEST_FONT = 14
_INK = (33, 37, 41)
_FAINT = (108, 117, 125)


@dataclass(frozen=True, slots=True)
class _Row:
    """One row: the number of the line it begins (0 for none), its words, its score or ""; `whole` is its entry's text."""

    number: int
    text: str
    score: str = ""
    heading: bool = False
    whole: str = ""


@dataclass(frozen=True, slots=True)
class Legend:
    """Rows that fit `width`, in a font of `size` pixels."""

    rows: tuple[_Row, ...]
    size: int
    width: int

    @property
    def height(self) -> int:
        """Pixels from top to bottom, its own margins included."""
        return self.size + len(self.rows) * _row_height(self.size)

    def draw(self, draw: ImageDraw.ImageDraw, left: int, colour_of: Callable[[int], Colour]) -> None:
        """Writes it at the top, `left` pixels from the left."""
        baseline = self.size // 2 + self.size
        for row in self.rows:
            x = left + self.size
            if row.number:
                draw.text((x, baseline), str(row.number), colour_of(row.number), plain(self.size), anchor="ls")
            font = _font(row.whole, self.size)  # one font for an entry, whichever row
            indent = 0 if row.heading else _indent(self.size)
            draw.text((x + indent, baseline), row.text, _FAINT if row.heading else _INK, font, anchor="ls")
            right = left + self.width - self.size // 2
            draw.text((right, baseline), row.score, _FAINT, plain(self.size), anchor="rs")
            baseline += _row_height(self.size)


def fitting_legend(annotation: Annotation, height: int, width: int) -> Legend:
    """The list in the largest font in which it is not higher than `height`, or in the smallest one if it is higher in all."""
    entries = tuple(_entries(annotation))
    size = max(_SMALLEST_FONT, width // 18)
    while True:
        legend = Legend(tuple(row for entry in entries for row in _wrapped(entry, size, width)), size, width)
        if legend.height <= height or size == _SMALLEST_FONT:
            return legend
        size = max(_SMALLEST_FONT, size * 9 // 10)


def _entries(annotation: Annotation) -> Iterator[_Row]:
    if annotation.tags is not None:
        yield _Row(0, "tags", heading=True)
        for tag in annotation.tags.tags:
            names = filter(None, map(drawable, dict.fromkeys(tag.names.values())))
            yield _Row(0, " · ".join(names) or tag.id, f"{tag.score:.2f}")
        if not annotation.tags.tags:
            yield _Row(0, _nothing(annotation.tags.error))
    if annotation.text is not None:
        yield _Row(0, "text", heading=True)
        for number, line in enumerate(annotation.text.lines, 1):
            yield _Row(
                number,
                drawable(line.text) or f"({len(line.text)} characters, no font for them here)",
                f"{line.confidence:.2f}",
            )
        if not annotation.text.lines:
            yield _Row(0, _nothing(annotation.text.error))


def _nothing(error: ImagierClientError | None) -> str:
    return "none" if error is None else f"failed: {error.reason or error.code}"


def _wrapped(entry: _Row, size: int, width: int) -> Iterator[_Row]:
    """The entry in rows no wider than the list; its number before the first, its score after the first."""
    font = _font(entry.text, size)
    room = width - size * 5 - _indent(size)
    rest, first = entry.text, True
    while rest or first:
        end = _break(rest, font, room)
        yield _Row(
            entry.number if first else 0, rest[:end].rstrip(), entry.score if first else "", entry.heading, entry.text
        )
        rest, first = rest[end:].lstrip(), False


def _break(text: str, font: Font, room: float) -> int:
    """How much of the text fits: up to its last blank that does, or in the middle of a word that alone is too long."""
    if font.getlength(text) <= room:
        return len(text)
    fits = 1
    while fits < len(text) and font.getlength(text[: fits + 1]) <= room:
        fits += 1
    blank = text.rfind(" ", 0, fits + 1)
    return blank if blank > 0 else fits


def _font(text: str, size: int) -> Font:
    return font_for(text, size) or plain(size)


def _indent(size: int) -> int:
    return size * 2


def _row_height(size: int) -> int:
    return size * 7 // 5
