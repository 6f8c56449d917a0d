# SPDX-License-Identifier: Apache-2.0
"""The layout that ALTO and hOCR share: blocks of lines, their direction, boxes in whole pixels, text that XML can hold."""

from __future__ import annotations

import math
import re
import statistics
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from imagier_client.messages import Annotation
from imagier_client.tasks.ocr import OcrResult, TextLine, TextWord
from imagier_client.tasks.shown import Point, Polygon

_SAME_WAY = 10.0  # degrees between two lines of one block
_SAME_SIZE = 1.5  # between their heights
_NEXT_ROW = 1.9  # heights between their middles
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Box:
    """Whole pixels of the upright picture, right and bottom excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Word:
    """A word; `blank` if a blank follows it on its line, `characters` if each of several has a place of its own."""

    text: str
    confidence: float
    polygon: Polygon
    blank: bool
    characters: tuple[TextWord, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that belong together, in reading order; never empty. `rotation` in degrees clockwise, -180 to 180."""

    lines: tuple[TextLine, ...]

    @property
    def rotation(self) -> float:
        """The median rotation of its lines in degrees clockwise: 0 for text to the right, 90 for text that runs downwards."""
        first = _angle(self.lines[0])
        turn = first + statistics.median(_turn(first, _angle(line)) for line in self.lines)
        return (turn + 180) % 360 - 180

    @property
    def vertical(self) -> bool:
        """Whether it is a column of upright characters, as Chinese and Japanese are set: it runs downwards without being turned."""
        characters = [_script(character) for line in self.lines for character in line.text if not character.isspace()]
        return abs(self.rotation - 90) < 45 and sum(map(bool, characters)) > len(characters) / 2


def text_of(annotation: Annotation) -> OcrResult:
    """Returns the OCR task's result. Raises its error if the task failed, ValueError if it was not asked for."""
    if annotation.ocr is None:
        raise ValueError("the answer holds no OCR")
    if annotation.ocr.error is not None:
        raise annotation.ocr.error
    return annotation.ocr


def blocks(lines: Iterable[TextLine]) -> list[Block]:
    """Groups lines, given in reading order, that run the same way in the same size, each in the row of the last or in the next."""
    made: list[list[TextLine]] = []
    for line in lines:
        if made and _continues(made[-1], line):
            made[-1].append(line)
        else:
            made.append([line])
    return [Block(tuple(members)) for members in made]


def words(line: TextLine) -> list[Word]:
    """The words of a line; the line as one word if the server gave none.

    Chinese and Japanese characters, which come as words of their own, are one word as long as no blank parts them.
    """
    if not line.words:
        return [Word(line.text, line.confidence, line.polygon, blank=False)]
    runs: list[tuple[list[TextWord], bool]] = []
    end = 0
    for word in line.words:
        begin = line.text.find(word.text, end)
        blank = begin != end
        if runs and blank:
            runs[-1] = runs[-1][0], True
        if runs and not blank and len(word.text) == len(runs[-1][0][-1].text) == 1:
            runs[-1][0].append(word)
        else:
            runs.append(([word], False))
        end = max(begin, end) + len(word.text)
    return [_joined(members, blank=blank) for members, blank in runs]


def box(points: Iterable[Point], annotation: Annotation) -> Box:
    """The smallest box around the points, within the picture."""
    across, down = zip(*corners(points, annotation), strict=True)
    return Box(min(across), min(down), max(across), max(down))


def corners(points: Iterable[Point], annotation: Annotation) -> list[tuple[int, int]]:
    """The points in whole pixels, within the picture."""
    return [(_within(x, annotation.width), _within(y, annotation.height)) for x, y in points]


def language(block: Block, page: Sequence[Block]) -> str | None:
    """Guesses a block's language from its script: "ja", "zh" or "ko"; None for scripts that many languages share."""
    scripts = {_script(character) for line in block.lines for character in line.text}
    if "ko" in scripts or "ja" in scripts:
        return "ja" if "ja" in scripts else "ko"
    if "zh" not in scripts:
        return None
    japanese = any(_script(character) == "ja" for other in page for line in other.lines for character in line.text)
    return "ja" if japanese else "zh"


def xml_text(text: str) -> str:
    """The text with U+FFFD for what no XML document may hold: controls, and the bytes of a file name that is not UTF-8."""
    return _NOT_XML.sub("\ufffd", text)


def _joined(members: Sequence[TextWord], *, blank: bool) -> Word:
    (first, _, _, fourth), (_, second, third, _) = members[0].polygon, members[-1].polygon
    return Word(
        "".join(member.text for member in members),
        statistics.mean(member.confidence for member in members),
        (first, second, third, fourth),
        blank,
        tuple(members) if len(members) > 1 else (),
    )


def _continues(block: Sequence[TextLine], line: TextLine) -> bool:
    last = block[-1]
    if abs(_turn(_angle(last), _angle(line))) > _SAME_WAY:
        return False
    heights = math.dist(last.polygon[0], last.polygon[3]), math.dist(line.polygon[0], line.polygon[3])
    if max(heights) > _SAME_SIZE * min(heights):
        return False
    # In the lines' own frame: along where they run to, down where their next row is.
    turn = math.radians(_angle(last))
    along, down = (math.cos(turn), math.sin(turn)), (-math.sin(turn), math.cos(turn))
    row = statistics.mean(_places(line, down)) - statistics.mean(_places(last, down))
    height = statistics.mean(heights)
    if abs(row) <= height / 2:
        return True
    begin, end = min(_places(line, along)), max(_places(line, along))
    rest = [place for member in block for place in _places(member, along)]
    return 0 < row <= _NEXT_ROW * height and begin < max(rest) and min(rest) < end


def _places(line: TextLine, axis: tuple[float, float]) -> Iterator[float]:
    return (x * axis[0] + y * axis[1] for x, y in line.polygon)


def _angle(line: TextLine) -> float:
    """Degrees clockwise from a line that runs to the right."""
    first, second, third, fourth = line.polygon
    return math.degrees(math.atan2(second.y - first.y + third.y - fourth.y, second.x - first.x + third.x - fourth.x))


def _turn(begin: float, end: float) -> float:
    """Returns the turn from one angle to the other, -180 to 180."""
    return (end - begin + 180) % 360 - 180


def _script(character: str) -> str:
    """The language that a character speaks for: kana for Japanese, Hangul for Korean, Han for Chinese; "" for any other."""
    name = unicodedata.name(character, "")
    if name.startswith(("HIRAGANA", "KATAKANA")):
        return "ja"
    if name.startswith("HANGUL"):
        return "ko"
    return "zh" if name.startswith("CJK UNIFIED") else ""


def _within(place: float, size: int) -> int:
    return min(max(round(place), 0), size)
