# SPDX-License-Identifier: Apache-2.0
"""The OCR task: finds, orients, reads and orders lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from imagier_server.errors import InvalidRequestError
from imagier_server.messages import Picture, Pixels, Tensors
from imagier_server.tasks.ocr.boxes import MAX_LINES, Quads
from imagier_server.tasks.ocr.directions import first_ways, other_ways, reading_quads
from imagier_server.tasks.ocr.faint import bring_out
from imagier_server.tasks.ocr.finding import DETECTOR, find
from imagier_server.tasks.ocr.lines import (
    HEIGHT,
    WIDTHS,
    Batch,
    Line,
    orienter_batches,
    orienter_pixels,
    recognizer_batches,
    recognizer_pixels,
)
from imagier_server.tasks.ocr.page import MAX_PIXELS, reading_scale
from imagier_server.tasks.ocr.reading import (
    Character,
    join,
    letters_per_height,
    likely_right,
    read_characters,
    split_words,
)
from imagier_server.tasks.ocr.reading_order import Corners, reading_order
from imagier_server.tasks.ocr.recognizers import RECOGNIZER, Recognizer
from imagier_server.tasks.ocr.recognizers import load as load_recognizers
from imagier_server.tasks.ocr.requests import infer_all
from imagier_server.tasks.ocr.values import Effort, OcrOptions, Point, Polygon, Text, TextLine, TextWord
from imagier_server.tasks.options import Option, check
from imagier_server.tasks.task import LimitInfo, Steps
from imagier_server.timings import Stage

ORIENTER = "text_line_orienter"
MIN_CONFIDENCE = 0.5

LOWEST = "height of letters by the short side of a 3-megapixel photograph: lower ones are overlooked with effort {}; cost: {}"

DOUBTFUL = 0.5
"""Confidence below which a line is read in other ways too."""

FURTHER = 128
"""Retries per round; a page in an unsupported script gets only one round."""

WORTHWHILE = 0.1
"""Share of useful retries needed for another round; in an unsupported script about one in a hundred seems useful."""

TRIED = 8
"""Doubtful lines of a page that every further recogniser reads, to see whether its script is on the page."""

PAGE_SCRIPTS = 2
"""Further scripts of a page, of which all doubtful lines are read."""


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """What lines are read from: a page, or one whose `faint` text was brought out."""

    pixels: Pixels
    faint: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a line, which the recogniser saw padded to `seen` times its width."""

    line: Line
    seen: float
    characters: Sequence[Character]
    text: str
    density: float
    faint: bool
    confidence: float


@dataclass(frozen=True)  # without slots: `models` is an attribute of the class too
class OcrTask:
    """Reads text with the default recogniser, the first, and what it doubts with those of further scripts."""

    name: ClassVar[str] = "ocr"
    models: ClassVar[tuple[str, ...]] = (DETECTOR, ORIENTER, RECOGNIZER)
    options: ClassVar[tuple[Option, ...]] = (
        Option("min_confidence", str(MIN_CONFIDENCE), 0.0, 1.0),
        Option("words", "false"),
        Option("effort", "EFFORT_BALANCED"),
    )
    limits: ClassVar[tuple[LimitInfo, ...]] = (
        LimitInfo("page_pixels", MAX_PIXELS, "larger pictures are read at half their size, a quarter…"),
        LimitInfo("letter_height_pixels", 8, "lower letters are often misread"),
        LimitInfo("letter_share_fast", 0.010, LOWEST.format("fast", "half of balanced or more")),
        LimitInfo("letter_share_balanced", 0.008, LOWEST.format("balanced", "it is the default")),
        LimitInfo("letter_share_thorough", 0.005, LOWEST.format("thorough", "several times balanced")),
        LimitInfo("lines", MAX_LINES, "of more, those at the top of the picture are read"),
        LimitInfo("line_length_heights", WIDTHS[-1] / HEIGHT, "longer lines are squeezed, and lose letters"),
    )
    optional: ClassVar[bool] = False
    price: ClassVar[int] = 1
    objective_seconds: ClassVar[float] = 5.0

    recognizers: tuple[Recognizer, ...]

    def __post_init__(self) -> None:
        """The class names the models that every server has, a task those that this one has."""
        object.__setattr__(self, "models", (DETECTOR, ORIENTER, *(each.role for each in self.recognizers)))

    @classmethod
    def load(cls, repository: Path) -> OcrTask:
        """Load the charsets of the recognisers in `repository`. Raises `OSError`, `ModelLockError`."""
        return cls(load_recognizers(repository))

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that the recognisers read (BCP 47)."""
        return tuple(dict.fromkeys(language for each in self.recognizers for language in each.languages))

    @property
    def scripts(self) -> tuple[str, ...]:
        """Scripts that they read (ISO 15924)."""
        return tuple(dict.fromkeys(script for each in self.recognizers for script in each.scripts))

    def check(self, options: OcrOptions) -> None:
        check(self.name, self.options, options)
        if options.effort is None:
            raise InvalidRequestError("this server knows no such effort: see the contract", field=f"{self.name}.effort")

    def scale(self, width: int, height: int) -> float:
        return reading_scale(width, height)

    async def run(self, picture: Picture, options: OcrOptions, languages: tuple[str, ...], steps: Steps) -> Text:  # noqa: ARG002
        """Find lines, orient them, read them. A model reads all its languages at once."""
        assert options.effort, "checked"
        sheet, quads = await self._find(picture.pixels, options.effort, steps)
        quads = await steps.compute(Stage.PREPARE, reading_quads, quads)
        lines = [Line(number, quad) for number, quad in enumerate(quads)]
        if not lines:
            return Text(())
        turned = await infer_all(steps, ORIENTER, orienter_batches(lines), partial(orienter_pixels, sheet.pixels))
        upside_down = np.concatenate([each["upside_down"].ravel() for each in turned])
        lines = await steps.compute(Stage.PREPARE, first_ways, lines, upside_down)
        default, *others = self.recognizers
        readings = await self._read(sheet, lines, steps, default)
        readings += await self._read_scripts(sheet, readings, steps, others)
        further = await steps.compute(Stage.PREPARE, _further_ways, readings)
        while further:
            again = await self._read(sheet, further[:FURTHER], steps, default)
            readings += again
            made_sense = sum(each.confidence >= DOUBTFUL for each in again)
            further = further[FURTHER:] if made_sense >= WORTHWHILE * len(again) else []
        return await steps.compute(Stage.FINISH, finish, picture, readings, options)

    async def _find(self, page: Pixels, effort: Effort, steps: Steps) -> tuple[Sheet, Quads]:
        """Find boxes, in the pixels of `page`, and what to read them from: the page, unless its text is faint."""
        faint = await steps.compute(Stage.PREPARE, bring_out, page) if effort is not Effort.FAST else None
        if faint is None:
            return Sheet(page, faint=False), await find(page, effort, steps)
        return Sheet(faint.to_read, faint=True), await find(faint.to_find, effort, steps) / np.float32(faint.scale)

    async def _read(self, sheet: Sheet, lines: Sequence[Line], steps: Steps, recognizer: Recognizer) -> list[Reading]:
        batches = await steps.compute(Stage.PREPARE, recognizer_batches, lines)
        answers = await infer_all(steps, recognizer.role, batches, partial(recognizer_pixels, sheet.pixels))
        return await steps.compute(Stage.FINISH, _readings, batches, answers, recognizer, sheet.faint)

    async def _read_scripts(
        self, sheet: Sheet, readings: Sequence[Reading], steps: Steps, others: Sequence[Recognizer]
    ) -> list[Reading]:
        """Readings of the doubtful lines in further scripts, if one of a few such lines makes sense in them."""
        doubtful = [each.line for each in readings if each.confidence < DOUBTFUL]
        if not doubtful or not others:
            return []
        tried = doubtful[:: -(-len(doubtful) // TRIED)]
        found = [await self._read(sheet, tried, steps, other) for other in others]
        winners: Counter[int] = Counter()
        for row in zip(*(_in_order(each) for each in found), strict=True):
            best = max(range(len(row)), key=lambda place: row[place].confidence)
            winners[best] += row[best].confidence >= DOUBTFUL
        rest = [line for line in doubtful if line not in tried]
        for place, lines in winners.most_common(PAGE_SCRIPTS):
            if lines and rest:
                found.append(await self._read(sheet, rest, steps, others[place]))
        return [reading for each in found for reading in each]


def _in_order(readings: Sequence[Reading]) -> list[Reading]:
    """By the number of the line: batches have an order of their own."""
    return sorted(readings, key=lambda each: each.line.number)


def _readings(
    batches: Sequence[Batch], answers: Sequence[Tensors], recognizer: Recognizer, faint: bool
) -> list[Reading]:
    readings = []
    for batch, answer in zip(batches, answers, strict=True):
        rows = zip(batch.lines, answer["token_ids"], answer["confidences"], strict=True)
        for line, token_ids, confidences in rows:
            width = line.width
            seen = batch.width / width
            from_left = read_characters(token_ids, confidences, recognizer.charset, 1 / seen)
            characters = recognizer.as_read(from_left)
            density = letters_per_height(characters, width / HEIGHT)
            confidence = likely_right(characters, density, faint=faint)
            readings.append(Reading(line, seen, characters, join(characters), density, faint, confidence))
    return readings


def _best(readings: Sequence[Reading]) -> list[Reading]:
    """Return the most confident reading of each line."""
    best: dict[int, Reading] = {}
    for reading in readings:
        number = reading.line.number
        if number not in best or best[number].confidence < reading.confidence:
            best[number] = reading
    return list(best.values())


def _further_ways(readings: Sequence[Reading]) -> list[Line]:
    """Remaining ways to read the doubtful lines."""
    read = {_way(reading.line) for reading in readings}
    doubtful = (reading.line for reading in _best(readings) if reading.confidence < DOUBTFUL)
    return [way for line in doubtful for way in other_ways(line) if _way(way) not in read]


def _way(line: Line) -> tuple[int, float, float]:
    return line.number, *line.corners[0].tolist()


def finish(picture: Picture, readings: Sequence[Reading], options: OcrOptions) -> Text:
    """Return the best reading of each line in reading order, without empty and doubtful lines."""
    minimum = MIN_CONFIDENCE if options.min_confidence is None else options.min_confidence
    kept = [each for each in _best(readings) if each.text.strip() and each.confidence >= minimum]
    height, width = picture.pixels.shape[:2]
    enlarge = np.array((picture.width / width, picture.height / height))
    corners = [each.line.corners * enlarge for each in kept]
    lines = []
    for index in reading_order(corners):
        reading, outline = kept[index], corners[index]
        words = _words(reading, outline) if options.words else ()
        lines.append(TextLine(reading.text, reading.confidence, _polygon(outline), words))
    return Text(tuple(lines))


def _words(reading: Reading, corners: Corners) -> tuple[TextWord, ...]:
    """The words of a line whose `corners` are the first 1 / `seen` of the recogniser's input."""
    begin, end = corners[[0, 3]], corners[[1, 2]]
    words = []
    for word in split_words(reading.characters):
        ends = (min(each.start for each in word), max(each.end for each in word))  # whichever way it is read
        places = (min(place * reading.seen, 1.0) for place in ends)
        first, last = (begin + (end - begin) * place for place in places)
        outline = _polygon(np.stack([first[0], last[0], last[1], first[1]]))
        words.append(TextWord(join(word), likely_right(word, reading.density, faint=reading.faint), outline))
    return tuple(words)


def _polygon(corners: Corners) -> Polygon:
    first, second, third, fourth = (Point(x, y) for x, y in corners.tolist())
    return first, second, third, fourth
