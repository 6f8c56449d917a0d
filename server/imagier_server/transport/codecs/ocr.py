# SPDX-License-Identifier: Apache-2.0
"""The OCR task in protobuf."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imagier.v1 import ocr_pb2

from imagier_server.tasks.ocr.values import Effort, OcrOptions, Polygon, Text, TextLine, TextWord
from imagier_server.transport.codecs.codec import TaskCodec, unset
from imagier_server.transport.codecs.words import Field, Said, Words

_EFFORTS = {
    ocr_pb2.EFFORT_UNSPECIFIED: Effort.BALANCED,
    ocr_pb2.EFFORT_FAST: Effort.FAST,
    ocr_pb2.EFFORT_BALANCED: Effort.BALANCED,
    ocr_pb2.EFFORT_THOROUGH: Effort.THOROUGH,
}


def read(message: ocr_pb2.OcrOptions) -> OcrOptions:
    """The options as a value."""
    effort = _EFFORTS.get(message.effort)
    return OcrOptions(min_confidence=unset(message, "min_confidence"), words=message.words, effort=effort)


def write(result: ocr_pb2.OcrResult, text: Text, size: tuple[int, int]) -> None:
    """Write the lines into the message, and all of them as one text."""
    result.lines.extend(_line(line, size) for line in text.lines)
    result.text = "\n".join(line.text for line in text.lines)


def _line(line: TextLine, size: tuple[int, int]) -> ocr_pb2.TextLine:
    return ocr_pb2.TextLine(
        text=line.text,
        confidence=line.confidence,
        polygon=_points(line.polygon, (1, 1)),
        normalized_polygon=_points(line.polygon, size),
        words=[_word(word, size) for word in line.words],
    )


def _word(word: TextWord, size: tuple[int, int]) -> ocr_pb2.TextWord:
    return ocr_pb2.TextWord(
        text=word.text,
        confidence=word.confidence,
        polygon=_points(word.polygon, (1, 1)),
        normalized_polygon=_points(word.polygon, size),
    )


def _points(polygon: Polygon, unit: tuple[int, int]) -> Iterable[ocr_pb2.Point]:
    return (ocr_pb2.Point(x=point.x / unit[0], y=point.y / unit[1]) for point in polygon)


def said(text: Text, languages: Sequence[str]) -> Sequence[Said]:
    """The lines in reading order."""
    del languages
    return [Said(line.text, line.confidence) for line in text.lines]


WORDS = Words({"text": Field(said)}, key="text", scores=frozenset({"confidence", "score"}), joint="\n", place=2)

CODEC = TaskCodec("ocr", ocr_pb2.OcrOptions, ocr_pb2.OcrResult, read, write, WORDS)
