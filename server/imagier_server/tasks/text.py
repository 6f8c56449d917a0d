# SPDX-License-Identifier: Apache-2.0
"""The text task: where a picture shows lines of text, and what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np

from imagier_server.errors import InvalidRequestError
from imagier_server.messages import Picture, Pixels, Point, Polygon, Tensors, Text, TextLine, TextOptions, TextWord
from imagier_server.model_lock import read_lock
from imagier_server.tasks.reading_order import Corners, reading_order
from imagier_server.tasks.task import LimitInfo, OptionInfo, Steps
from imagier_server.tasks.text_boxes import MAX_LINES, Quads, find_boxes
from imagier_server.tasks.text_directions import first_ways, other_ways, reading_quads
from imagier_server.tasks.text_lines import (
    HEIGHT,
    WIDTHS,
    Batch,
    Line,
    orienter_batches,
    orienter_pixels,
    recognizer_batches,
    recognizer_pixels,
)
from imagier_server.tasks.text_page import (
    MAX_PIXELS,
    View,
    closer_view,
    farther_view,
    join_boxes,
    overview,
    reading_scale,
)
from imagier_server.tasks.text_reading import (
    Character,
    join,
    letters_per_height,
    likely_right,
    read_characters,
    split_words,
)
from imagier_server.timings import Stage

T = TypeVar("T")

DETECTOR, ORIENTER, RECOGNIZER = "text_detector", "text_line_orienter", "text_recognizer"
MIN_CONFIDENCE = 0.5

DOUBTFUL = 0.5
"""A line read with less confidence is read in other ways too."""

FURTHER = 128
"""Further ways are tried so many at a time, as long as some make sense: on a page in a script that is not read, none does."""

WORTHWHILE = 0.1
"""The part of them that has to make sense; of lines in a script that is not read, about one in a hundred seems to."""

IN_FLIGHT = 4
"""Requests of one picture at once. Only what these show is cut out of the page at a time."""

_SCRIPTS = {"zh-Hans": "Hans", "zh-Hant": "Hant", "ja": "Jpan"}


@dataclass(frozen=True, slots=True)
class Reading:
    """One way in which a line was read. The recogniser saw it padded to `seen` times its width."""

    line: Line
    seen: float
    characters: Sequence[Character]
    text: str
    density: float
    confidence: float


@dataclass(frozen=True, slots=True)
class TextTask:
    """Reads text. `charset[n]` is what the recogniser's token n + 1 stands for."""

    name: ClassVar[str] = "text"
    models: ClassVar[tuple[str, ...]] = (DETECTOR, ORIENTER, RECOGNIZER)
    options: ClassVar[tuple[OptionInfo, ...]] = (
        OptionInfo("min_confidence", str(MIN_CONFIDENCE), 0.0, 1.0),
        OptionInfo("words", "false"),
    )
    limits: ClassVar[tuple[LimitInfo, ...]] = (
        LimitInfo("page_pixels", MAX_PIXELS, "larger pictures are read at half their size, a quarter…"),
        LimitInfo("letter_height_pixels", 8, "lower letters are often misread"),
        LimitInfo("lines", MAX_LINES, "of more, those at the top of the picture are read"),
        LimitInfo("line_length_heights", WIDTHS[-1] / HEIGHT, "longer lines are squeezed, and lose letters"),
    )
    optional: ClassVar[bool] = False
    price: ClassVar[int] = 1

    charset: tuple[str, ...]
    languages: tuple[str, ...] = ()

    @classmethod
    def load(cls, repository: Path) -> TextTask:
        """With the charset that lies beside the recogniser in `repository`: one entry a line. Raises `OSError`."""
        entries = (repository / RECOGNIZER / "assets" / "charset.txt").read_text("utf-8").removesuffix("\n")
        installed = read_lock(repository).get(RECOGNIZER)
        return cls(tuple(entries.split("\n")), installed.languages if installed else ())

    @property
    def scripts(self) -> tuple[str, ...]:
        """ISO 15924. Every language that is not named here is written in Latin script."""
        return tuple(dict.fromkeys(_SCRIPTS.get(language, "Latn") for language in self.languages))

    def check(self, options: TextOptions) -> None:
        if options.min_confidence is not None and not 0 <= options.min_confidence <= 1:
            raise InvalidRequestError("min_confidence is not between 0 and 1", field="text.min_confidence")

    def scale(self, width: int, height: int) -> float:
        return reading_scale(width, height)

    async def run(self, picture: Picture, options: TextOptions, languages: tuple[str, ...], steps: Steps) -> Text:  # noqa: ARG002
        """Finds the lines, sees which way up they are, reads them. The models read all their languages at once."""
        page = picture.pixels
        quads = await self._find(page, steps)
        quads = await steps.compute(Stage.PREPARE, reading_quads, quads)
        lines = [Line(number, quad) for number, quad in enumerate(quads)]
        if not lines:
            return Text(())
        turned = await _infer_all(steps, ORIENTER, orienter_batches(lines), partial(orienter_pixels, page))
        upside_down = np.concatenate([each["upside_down"].ravel() for each in turned])
        lines = await steps.compute(Stage.PREPARE, first_ways, lines, upside_down)
        readings = await self._read(page, lines, steps)
        further = await steps.compute(Stage.PREPARE, _further_ways, readings)
        while further:
            again = await self._read(page, further[:FURTHER], steps)
            readings += again
            made_sense = sum(each.confidence >= DOUBTFUL for each in again)
            further = further[FURTHER:] if made_sense >= WORTHWHILE * len(again) else []
        return await steps.compute(Stage.FINISH, finish, picture, readings, options)

    async def _find(self, page: Pixels, steps: Steps) -> Quads:
        """Boxes in `page`: as the overview shows them; small print as a closer view does, huge letters as one from farther away."""
        view = await steps.compute(Stage.PREPARE, overview, page)
        quads = await _detect(page, view, steps)
        farther = await steps.compute(Stage.PREPARE, farther_view, page, view, quads)
        closer = await steps.compute(Stage.PREPARE, closer_view, page, view, quads)
        if closer is not None:
            near = await _detect(page, closer, steps)
            quads = await steps.compute(Stage.PREPARE, join_boxes, quads, near, max(view.scale))
        if farther is not None:
            far = await _detect(page, farther, steps)
            quads = await steps.compute(Stage.PREPARE, join_boxes, far, quads, max(farther.scale))
        return quads

    async def _read(self, page: Pixels, lines: Sequence[Line], steps: Steps) -> list[Reading]:
        batches = await steps.compute(Stage.PREPARE, recognizer_batches, lines)
        answers = await _infer_all(steps, RECOGNIZER, batches, partial(recognizer_pixels, page))
        return await steps.compute(Stage.FINISH, self._readings, batches, answers)

    def _readings(self, batches: Sequence[Batch], answers: Sequence[Tensors]) -> list[Reading]:
        readings = []
        for batch, answer in zip(batches, answers, strict=True):
            rows = zip(batch.lines, answer["token_ids"], answer["confidences"], strict=True)
            for line, token_ids, confidences in rows:
                width = line.width
                seen = batch.width / width
                characters = read_characters(token_ids, confidences, self.charset, 1 / seen)
                density = letters_per_height(characters, width / HEIGHT)
                confidence = likely_right(characters, density)
                readings.append(Reading(line, seen, characters, join(characters), density, confidence))
        return readings


async def _detect(page: Pixels, view: View, steps: Steps) -> Quads:
    found = await _infer_all(steps, DETECTOR, view.tiles, lambda tile: tile.canvas[np.newaxis])

    def boxes() -> Quads:
        height, width = page.shape[:2]
        return find_boxes(view.join([each["probability"][0] for each in found]), view.scale, width, height)

    return await steps.compute(Stage.PREPARE, boxes)


def _best(readings: Sequence[Reading]) -> list[Reading]:
    """The most confident reading of each line."""
    best: dict[int, Reading] = {}
    for reading in readings:
        number = reading.line.number
        if number not in best or best[number].confidence < reading.confidence:
            best[number] = reading
    return list(best.values())


def _further_ways(readings: Sequence[Reading]) -> list[Line]:
    """The ways in which lines that made no sense so far have not been read."""
    read = {_way(reading.line) for reading in readings}
    doubtful = (reading.line for reading in _best(readings) if reading.confidence < DOUBTFUL)
    return [way for line in doubtful for way in other_ways(line) if _way(way) not in read]


def _way(line: Line) -> tuple[int, float, float]:
    return line.number, *line.corners[0].tolist()


def finish(picture: Picture, readings: Sequence[Reading], options: TextOptions) -> Text:
    """The best reading of each line, without what is empty or doubtful, in reading order."""
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


async def _infer_all(steps: Steps, model: str, parts: Sequence[T], pixels: Callable[[T], Pixels]) -> list[Tensors]:
    """The answers to each part's `pixels` (rows, height, width, 3), a few at a time; the first failure ends the others."""
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def infer(part: T) -> Tensors:
        async with slots:
            return await steps.infer(model, {"pixels": await steps.compute(Stage.PREPARE, pixels, part)})

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(infer(part)) for part in parts]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def _words(reading: Reading, corners: Corners) -> tuple[TextWord, ...]:
    """The words of a line whose `corners` hold the first 1 / `seen` of what the recogniser saw."""
    begin, end = corners[[0, 3]], corners[[1, 2]]
    words = []
    for word in split_words(reading.characters):
        places = (min(place * reading.seen, 1.0) for place in (word[0].start, word[-1].end))
        first, last = (begin + (end - begin) * place for place in places)
        outline = _polygon(np.stack([first[0], last[0], last[1], first[1]]))
        words.append(TextWord(join(word), likely_right(word, reading.density), outline))
    return tuple(words)


def _polygon(corners: Corners) -> Polygon:
    first, second, third, fourth = (Point(x, y) for x, y in corners.tolist())
    return first, second, third, fourth
