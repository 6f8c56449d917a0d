# SPDX-License-Identifier: Apache-2.0
"""The text task: where a picture shows lines of text, and what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from imagier_server.errors import InvalidRequestError
from imagier_server.messages import Picture, Point, Polygon, Tensors, Text, TextLine, TextOptions, TextWord
from imagier_server.model_lock import read_lock
from imagier_server.tasks.reading_order import Corners, reading_order
from imagier_server.tasks.task import OptionInfo, Steps
from imagier_server.tasks.text_boxes import find_boxes
from imagier_server.tasks.text_lines import Batch, Line, cut_lines, orienter_batches, recognizer_batches, ways_to_read
from imagier_server.tasks.text_page import Page, prepare_page, reading_scale
from imagier_server.tasks.text_reading import Character, join, read_characters, split_words
from imagier_server.timings import Stage

DETECTOR, ORIENTER, RECOGNIZER = "text_detector", "text_line_orienter", "text_recognizer"
MIN_CONFIDENCE = 0.5
IN_FLIGHT = 4


@dataclass(frozen=True, slots=True)
class TextTask:
    """Reads text. `charset[n]` is what the recogniser's token n + 1 stands for."""

    name: ClassVar[str] = "text"
    models: ClassVar[tuple[str, ...]] = (DETECTOR, ORIENTER, RECOGNIZER)
    options: ClassVar[tuple[OptionInfo, ...]] = (
        OptionInfo("min_confidence", str(MIN_CONFIDENCE), 0.0, 1.0),
        OptionInfo("words", "false"),
    )
    price: ClassVar[int] = 1

    charset: tuple[str, ...]
    languages: tuple[str, ...] = ()

    @classmethod
    def load(cls, repository: Path) -> TextTask:
        """With the charset that lies beside the recogniser in `repository`: one entry a line. Raises `OSError`."""
        entries = (repository / RECOGNIZER / "assets" / "charset.txt").read_text("utf-8").removesuffix("\n")
        installed = read_lock(repository).get(RECOGNIZER)
        return cls(tuple(entries.split("\n")), installed.languages if installed else ())

    def check(self, options: TextOptions) -> None:
        if options.min_confidence is not None and not 0 <= options.min_confidence <= 1:
            raise InvalidRequestError("min_confidence is not between 0 and 1", field="text.min_confidence")

    def scale(self, width: int, height: int) -> float:
        return reading_scale(width, height)

    async def run(self, picture: Picture, options: TextOptions, languages: tuple[str, ...], steps: Steps) -> Text:  # noqa: ARG002
        """Finds the lines, sees which way up they are, reads them. The models read all their languages at once."""
        page = await steps.compute(Stage.PREPARE, prepare_page, picture.pixels)
        found = await steps.infer(DETECTOR, {"pixels": page.canvas[np.newaxis]})
        lines = await steps.compute(Stage.PREPARE, prepare_lines, page, found)
        if not lines:
            return Text(())
        batches = await steps.compute(Stage.PREPARE, orienter_batches, lines)
        turned = await _infer_all(steps, ORIENTER, batches)
        upside_down = np.concatenate([each["upside_down"].ravel() for each in turned])
        lines = await steps.compute(Stage.PREPARE, ways_to_read, lines, upside_down)
        batches = await steps.compute(Stage.PREPARE, recognizer_batches, lines)
        read = await _infer_all(steps, RECOGNIZER, batches)
        return await steps.compute(Stage.FINISH, self.finish, picture, page, lines, batches, read, options)

    def finish(
        self,
        picture: Picture,
        page: Page,
        lines: Sequence[Line],
        batches: Sequence[Batch],
        read: Sequence[Tensors],
        options: TextOptions,
    ) -> Text:
        """What the recogniser read in `batches` of `lines`, without what is empty or doubtful, in reading order."""
        minimum = MIN_CONFIDENCE if options.min_confidence is None else options.min_confidence
        height, width = page.pixels.shape[:2]
        enlarge = np.array((picture.width / width, picture.height / height))
        best: dict[int, tuple[TextLine, Corners]] = {}
        for batch, answer in zip(batches, read, strict=True):
            for index, token_ids, confidences in zip(
                batch.lines, answer["token_ids"], answer["confidences"], strict=True
            ):
                line = lines[index]
                seen = batch.pixels.shape[2] / line.pixels.shape[1]
                characters = read_characters(token_ids, confidences, self.charset, 1 / seen)
                text, confidence = join(characters)
                if not text.strip() or confidence < minimum:
                    continue
                if line.number in best and best[line.number][0].confidence >= confidence:
                    continue
                corners = line.corners * enlarge
                words = _words(characters, corners, seen) if options.words else ()
                best[line.number] = TextLine(text, confidence, _polygon(corners), words), corners
        order = reading_order([corners for _, corners in best.values()])
        found = [line for line, _ in best.values()]
        return Text(tuple(found[index] for index in order))


async def _infer_all(steps: Steps, model: str, batches: Sequence[Batch]) -> list[Tensors]:
    """The answers to `batches`, a few at a time; the first failure ends the others."""
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def infer(batch: Batch) -> Tensors:
        async with slots:
            return await steps.infer(model, {"pixels": batch.pixels})

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(infer(batch)) for batch in batches]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


def prepare_lines(page: Page, found: Tensors) -> list[Line]:
    """The lines that the detector found, cut out of the page."""
    height, width = page.pixels.shape[:2]
    return cut_lines(page.pixels, find_boxes(found["probability"][0], page.scale, width, height))


def _words(characters: Sequence[Character], corners: Corners, seen: float) -> tuple[TextWord, ...]:
    """The words of a line whose `corners` hold the first 1 / `seen` of what the recogniser saw."""
    begin, end = corners[[0, 3]], corners[[1, 2]]
    words = []
    for word in split_words(characters):
        first, last = (begin + (end - begin) * min(place * seen, 1.0) for place in (word[0].start, word[-1].end))
        words.append(TextWord(*join(word), _polygon(np.stack([first[0], last[0], last[1], first[1]]))))
    return tuple(words)


def _polygon(corners: Corners) -> Polygon:
    first, second, third, fourth = (Point(x, y) for x, y in corners.tolist())
    return first, second, third, fourth
