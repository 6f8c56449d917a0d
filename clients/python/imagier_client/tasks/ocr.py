# SPDX-License-Identifier: Apache-2.0
"""The OCR task: the text in a picture, and where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from imagier.v1 import ocr_pb2

from imagier_client.errors import InvalidRequestError
from imagier_client.tasks.flags import Flag
from imagier_client.tasks.shown import Line, Point, Polygon, Section
from imagier_client.tasks.task import Task, TaskOptions, TaskResult
from imagier_client.tasks.wire import common, fill

EFFORTS: Final = {
    "fast": ocr_pb2.EFFORT_FAST,
    "balanced": ocr_pb2.EFFORT_BALANCED,
    "thorough": ocr_pb2.EFFORT_THOROUGH,
}
"""The contract's numbers by the names that people write."""


@dataclass(frozen=True, slots=True)
class TextWord:
    """A word of a line. `polygon` in pixels of the upright picture, `normalized_polygon` in fractions of its sides."""

    text: str
    confidence: float
    polygon: Polygon
    normalized_polygon: Polygon


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text; polygons as for a word, `words` only if asked for."""

    text: str
    confidence: float
    polygon: Polygon
    normalized_polygon: Polygon
    words: tuple[TextWord, ...] = ()


@dataclass(frozen=True, slots=True)
class OcrResult(TaskResult):
    """The OCR task's answer, in reading order; `text` is the lines joined by newlines."""

    lines: tuple[TextLine, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Ocr(TaskOptions[OcrResult]):
    """Asks for the text in the picture; `None` is the server's default. `effort`: "fast", "balanced" or "thorough"."""

    task: ClassVar[str] = "ocr"
    min_confidence: float | None = None
    words: bool = False
    effort: str | None = None


def write(message: ocr_pb2.OcrOptions, options: Ocr) -> None:
    """Puts the options into the message. Raises InvalidRequestError."""
    fill(message, "ocr.", min_confidence=options.min_confidence, words=options.words)
    if options.effort is not None:
        if options.effort not in EFFORTS:
            raise InvalidRequestError(f"choose from {', '.join(EFFORTS)}", field="ocr.effort")
        message.effort = EFFORTS[options.effort]


def read(message: ocr_pb2.OcrResult, languages: Sequence[str]) -> OcrResult:
    """The message as a value."""
    del languages
    return OcrResult(
        **common(message),
        lines=tuple(
            TextLine(
                text=line.text,
                confidence=line.confidence,
                polygon=_polygon(line.polygon),
                normalized_polygon=_polygon(line.normalized_polygon),
                words=tuple(
                    TextWord(
                        text=word.text,
                        confidence=word.confidence,
                        polygon=_polygon(word.polygon),
                        normalized_polygon=_polygon(word.normalized_polygon),
                    )
                    for word in line.words
                ),
            )
            for line in message.lines
        ),
        text=message.text,
    )


def show(result: OcrResult, languages: Sequence[str] | None) -> Section:
    """Each line of text, outlined in the picture."""
    del languages
    lines = (Line((line.text,), line.confidence, outline=line.normalized_polygon) for line in result.lines)
    return Section("text", tuple(lines))


def _polygon(points: Iterable[ocr_pb2.Point]) -> Polygon:
    return tuple(Point(point.x, point.y) for point in points)


TASK = Task(
    options=Ocr,
    options_message=ocr_pb2.OcrOptions,
    result_message=ocr_pb2.OcrResult,
    write=write,
    read=read,
    show=show,
    flags=(Flag("effort", "How hard to look for text: fast, balanced (unless given) or thorough."),),
)
