# SPDX-License-Identifier: Apache-2.0
"""The list beside or below a drawn picture: what each task found, numbered where it has a place, and times; as large as fits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from PIL import Image, ImageDraw

from imagier_client.drawing.fonts import Font, drawable, font_for, plain
from imagier_client.messages import Annotation, Timings
from imagier_client.tasks.registry import sections
from imagier_client.tasks.shown import Line

Colour = tuple[int, int, int]

INK = (33, 37, 41)
FAINT = (112, 118, 125)
SMALLEST_FONT = 13
_COLUMN = 19  # widths and heights below are in heights of the font
_GUTTER = 1.6
_MARGIN = 1.2
_ROW = 1.5
_BEFORE_HEADING = 0.9
_NUMBER = 2.4
_SHORT_SECTION = 6  # rows
_FIRST_IDEOGRAPH = "\u2e80"
_NOT_FIRST = frozenset("，。、；：！？）］｝」』】》〉”’,.;:!?)]}…ー")


@dataclass(frozen=True, slots=True)
class Row:
    """A row: the number of the line it begins (0 for none), its words, fainter words after them, a value at the right end."""

    text: str
    aside: str = ""
    value: str = ""
    number: int = 0
    indented: bool = False
    heading: bool = False
    whole: str = ""  # of its entry, so that all its rows are in one font


@dataclass(frozen=True, slots=True)
class Legend:
    """Columns of rows in a font of `size` pixels."""

    columns: tuple[tuple[Row, ...], ...]
    size: int

    @property
    def width(self) -> int:
        """Pixels from left to right, margins included."""
        count = len(self.columns)
        return math.ceil((count * _COLUMN + (count - 1) * _GUTTER + 2 * _MARGIN) * self.size)

    @property
    def height(self) -> int:
        """Pixels from top to bottom, margins included."""
        return math.ceil(max(map(_height, self.columns)) * self.size + 2 * _MARGIN * self.size)

    def draw(self, canvas: Image.Image, place: tuple[int, int], colour_of: Callable[[int], Colour]) -> None:
        """Writes it with its upper left corner at `place`."""
        for count, column in enumerate(self.columns):
            left = place[0] + (_MARGIN + count * (_COLUMN + _GUTTER)) * self.size
            top = place[1] + _MARGIN * self.size
            for index, row in enumerate(column):
                top += _BEFORE_HEADING * self.size if row.heading and index else 0
                self._draw_row(canvas, row, (left, top), colour_of)
                top += _ROW * self.size

    def _draw_row(
        self,
        canvas: Image.Image,
        row: Row,
        place: tuple[float, float],
        colour_of: Callable[[int], Colour],
    ) -> None:
        draw = ImageDraw.Draw(canvas)
        left, right = place[0], place[0] + _COLUMN * self.size
        baseline = place[1] + 1.05 * self.size
        if row.heading:
            draw.text((left, baseline), row.text, FAINT, plain(_smaller(self.size)), anchor="ls")
            draw.line((left, baseline + self.size * 0.3, right, baseline + self.size * 0.3), (222, 226, 230))
            return
        if row.number:
            size = _smaller(self.size)
            middle = (left + chip_size(row.number, size)[0] / 2, baseline - 0.36 * self.size)
            chip(canvas, middle, row.number, size, colour_of(row.number))
        x = left + (_NUMBER * self.size if row.indented else 0)
        font = _font(row.whole, self.size)
        draw.text((x, baseline), row.text, INK, font, anchor="ls")
        x += font.getlength(row.text) + (0.6 * self.size if row.text else 0)
        draw.text((x, baseline), row.aside, FAINT, _font(row.whole, _smaller(self.size)), anchor="ls")
        draw.text((right, baseline), row.value, FAINT, plain(_smaller(self.size)), anchor="rs")


def fitting_legend(annotation: Annotation, room: tuple[int, int], size: int, *, spread: bool = False) -> Legend:
    """The list in the largest font up to `size` in which its columns fit into `room` (width, height).

    As few columns as its height allows, or with `spread` as many as its width allows. Where even the smallest font does not
    fit, lines are left out at the end.
    """
    entries = list(_entries(annotation))
    smallest = max(SMALLEST_FONT, size // 5)
    trial = max(size, smallest)
    while (legend := _fitted(entries, room, trial, spread=spread)) is None and trial > smallest:
        trial = max(smallest, trial * 9 // 10)
    if legend:
        return legend
    kept, too_many = 0, sum(entry.number > 0 for entry in entries)
    while too_many - kept > 1:
        middle = (kept + too_many) // 2
        fits = _fitted(_shortened(entries, middle), room, smallest, spread=spread)
        kept, too_many = (middle, too_many) if fits else (kept, middle)
    short = _shortened(entries, kept)
    return _fitted(short, room, smallest, spread=spread) or Legend(_columns(_rows(short, smallest), math.inf), smallest)


def chip(canvas: Image.Image, middle: tuple[float, float], number: int, size: int, colour: Colour) -> None:
    """The number in white on a patch of `colour` with a white rim."""
    width, height = map(math.ceil, chip_size(number, size))
    rim = max(1, size // 12)
    left, top = round(middle[0] - width / 2), round(middle[1] - height / 2)
    for inset, ink in ((-rim, (255, 255, 255)), (0, colour)):
        mask = _patch(width - 2 * inset, height - 2 * inset, height // 4 - inset)
        canvas.paste(ink, (left + inset, top + inset), mask)
    place = left + width / 2, top + height / 2 + 0.36 * size  # half of a digit's height
    ImageDraw.Draw(canvas).text(place, str(number), (255, 255, 255), plain(size), anchor="ms")


@cache
def _patch(width: int, height: int, radius: int) -> Image.Image:
    """A rectangle with round and smooth corners."""
    fine = Image.new("L", (width * 4, height * 4))
    ImageDraw.Draw(fine).rounded_rectangle((0, 0, width * 4 - 1, height * 4 - 1), radius * 4, 255)
    return fine.resize((width, height), Image.Resampling.BOX)


def chip_size(number: int, size: int) -> tuple[float, float]:
    """Width and height of the patch for a font of `size` pixels."""
    height = size * 1.3
    return max(plain(size).getlength(str(number)) + height / 2, height), height


def _fitted(entries: Sequence[Row], room: tuple[int, int], size: int, *, spread: bool) -> Legend | None:
    most = max(1, int((room[0] / size - 2 * _MARGIN + _GUTTER) / (_COLUMN + _GUTTER)))
    high = room[1] / size - 2 * _MARGIN
    if len(entries) * _ROW > most * high:
        return None
    rows = _rows(entries, size)
    columns = _columns(rows, high)
    if len(columns) > most:
        return None
    low = max(_height(rows) / most, min(_height(rows), 8 * _ROW))
    while spread and len(columns := _columns(rows, low)) > most:
        low += _ROW / 2
    return Legend(columns, size)


def _rows(entries: Iterable[Row], size: int) -> list[Row]:
    return [row for entry in entries for row in _wrapped(entry, size)]


def _columns(rows: Sequence[Row], high: float) -> tuple[tuple[Row, ...], ...]:
    columns: list[list[Row]] = [[]]
    headings = [index for index, row in enumerate(rows) if row.heading] + [len(rows)]
    for index, row in enumerate(rows):
        together = 1
        if row.heading:
            # It stays with its first row; a short section stays together.
            section = headings[headings.index(index) + 1] - index
            together = section if section <= _SHORT_SECTION else 2
        if columns[-1] and _height([*columns[-1], *rows[index : index + together]]) > high:
            columns.append([])
        columns[-1].append(row)
    return tuple(map(tuple, columns))


def _height(rows: Sequence[Row]) -> float:
    return len(rows) * _ROW + sum(row.heading for row in rows[1:]) * _BEFORE_HEADING


def _shortened(entries: Sequence[Row], kept: int) -> list[Row]:
    """Without the lines after the first `kept`; how many that are is said."""
    more = sum(entry.number > kept for entry in entries)
    note = Row("", drawable(f"… and {more} more") or "", indented=True)
    short = [entry for entry in entries if entry.number <= kept]
    if more:
        begin = next(place for place, entry in enumerate(entries) if entry.number)
        short.insert(begin + kept, note)
    return short


def _entries(annotation: Annotation) -> Iterator[Row]:
    number = 0
    headings: dict[str, str] = {}
    for task, result, section in sections(annotation.results):
        headings[task] = section.heading or section.kind
        yield Row(headings[task].upper(), heading=True)
        for line in section.lines:
            number += bool(line.outline)
            yield _entry(line, number if line.outline else 0)
        if not section.lines:
            error = result.error
            yield Row("", section.none if error is None else f"failed: {error.reason or error.code}")
    if annotation.timings.total:
        yield Row("TIME", heading=True)
        yield from _times(annotation.timings, headings)


def _entry(line: Line, number: int) -> Row:
    first, *others = [*filter(None, map(drawable, line.cells)), line.instead]
    count = sum(map(len, line.cells))
    asides = [drawable(" · ".join(others[:-1])), line.note, line.kind]
    if not first:
        asides.append(f"({count} characters, no font for them here)")
    value = "" if line.score is None else f"{line.score:.2f}"
    return Row(first, "  ".join(filter(None, asides)), value, number, indented=number > 0)


def readable(line: Line) -> bool:
    """Returns whether a font has the characters of any part of the line."""
    return not any(line.cells) or bool(line.instead) or any(map(drawable, line.cells))


def _times(timings: Timings, headings: Mapping[str, str]) -> Iterator[Row]:
    yield Row("total", "", f"{_milliseconds(timings.total)} ms")
    for task in dict.fromkeys(stage.task for stage in timings.stages):
        parts = [(stage.stage, _milliseconds(stage.seconds)) for stage in timings.stages if stage.task == task]
        if task:
            # No sum: what a task had under way side by side would be counted twice.
            yield Row(headings.get(task, task), drawable(" · ".join(map(" ".join, parts))) or "")
        else:
            yield from (Row(stage, "", f"{time} ms") for stage, time in parts)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f}".replace(",", " ")


def _wrapped(entry: Row, size: int) -> Iterator[Row]:
    """The entry in rows no wider than a column; its number before the first, its value after the first."""
    whole = entry.text + entry.aside
    if entry.heading:
        yield entry
        return
    room = (_COLUMN - (_NUMBER if entry.indented else 0)) * size
    room -= plain(_smaller(size)).getlength(entry.value) + size / 2 if entry.value else 0
    font, small = _font(whole, size), _font(whole, _smaller(size))
    rows = [Row(part) for part in _broken(entry.text, font, room)] or [Row("")]
    inline = room - font.getlength(rows[-1].text) - 0.6 * size
    if small.getlength(entry.aside) <= inline:
        rows[-1] = replace(rows[-1], aside=entry.aside)
    elif rows[-1].text:
        rows += [Row("", part) for part in _broken(entry.aside, small, room)]
    else:
        rows = [Row("", part) for part in _broken(entry.aside, small, room)]
    for place, row in enumerate(rows):
        number, value = (entry.number, entry.value) if place == 0 else (0, "")
        yield replace(row, number=number, value=value, indented=entry.indented, whole=whole)


def _broken(text: str, font: Font, room: float) -> Iterator[str]:
    """The text in parts that fit: broken at the last blank that does, or in the middle of a word that alone is too long."""
    while text:
        fits, too_many = 1, len(text) + 1
        if font.getlength(text) <= room:
            fits = len(text)
        else:
            while too_many - fits > 1:
                middle = (fits + too_many) // 2
                fits, too_many = (middle, too_many) if font.getlength(text[:middle]) <= room else (fits, middle)
        if fits < len(text):
            blank = text.rfind(" ", 0, fits + 1)
            if blank > (fits / 2 if text[fits] >= _FIRST_IDEOGRAPH else 0):
                fits = blank
            # Chinese and Japanese have no blanks; but no row begins with what ends a sentence or a bracket.
            while fits > 1 and text[fits] in _NOT_FIRST:
                fits -= 1
        yield text[:fits].rstrip()
        text = text[fits:].lstrip()


def _font(text: str, size: int) -> Font:
    return font_for(text, size) or plain(size)


def _smaller(size: int) -> int:
    return max(SMALLEST_FONT - 2, round(size * 0.8))
