# SPDX-License-Identifier: Apache-2.0
"""Turns a SentencePiece model of kind unigram into a `tokenizer.json`, so that serving needs the library `tokenizers` only."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

# Field numbers of sentencepiece_model.proto: ModelProto, SentencePiece, NormalizerSpec.
_PIECES, _NORMALIZER = 1, 3
_PIECE, _SCORE = 1, 2
_CHARSMAP = 2
UNKNOWN, BEGIN, END = 0, 1, 2
"""Ids of the pieces <unk>, <s> and </s>."""


@dataclass(frozen=True, slots=True)
class SentencePieceModel:
    """The pieces with their log-probabilities, in the order of their ids, and the compiled character map of the normaliser."""

    pieces: tuple[tuple[str, float], ...]
    charsmap: bytes

    @classmethod
    def read(cls, path: Path) -> SentencePieceModel:
        """Read the file `sp.model`. Raises `OSError`, `ValueError`."""
        pieces: list[tuple[str, float]] = []
        charsmap = b""
        for number, value in _fields(path.read_bytes()):
            if number == _PIECES:
                fields = dict(_fields(value))
                score = struct.unpack("<f", fields[_SCORE])[0] if _SCORE in fields else 0.0
                pieces.append((fields[_PIECE].decode("utf-8"), score))
            elif number == _NORMALIZER:
                charsmap = dict(_fields(value)).get(_CHARSMAP, b"")
        return cls(tuple(pieces), charsmap)

    def tokenizer(self, context: int) -> Tokenizer:
        """The tokenizer: at most `context` tokens of a text, <s> and </s> included."""
        made = Tokenizer(models.Unigram(list(self.pieces), UNKNOWN))
        made.normalizer = normalizers.Sequence(
            [
                normalizers.Precompiled(self.charsmap),
                normalizers.Strip(),
                normalizers.Replace(Regex(" {2,}"), " "),
            ]
        )
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
        begin, end = self.pieces[BEGIN][0], self.pieces[END][0]
        made.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A {end}", special_tokens=[(begin, BEGIN), (end, END)]
        )
        made.enable_truncation(context)
        return made


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each field with a length or 32 bits in a protobuf message. Raises `ValueError`."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        match tag & 7:
            case 0:
                _, place = _varint(message, place)
                continue
            case 1:
                place += 8
                continue
            case 2:
                size, place = _varint(message, place)
            case 5:
                size = 4
            case _:
                raise ValueError("this is no SentencePiece model")
        yield tag >> 3, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place
