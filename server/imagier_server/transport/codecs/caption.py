# SPDX-License-Identifier: Apache-2.0
"""The caption task in protobuf."""

from __future__ import annotations

from collections.abc import Sequence

from imagier.v1 import caption_pb2, tags_pb2

from imagier_server.tasks.caption.values import Caption, CaptionOptions, Captions
from imagier_server.transport.codecs.codec import TaskCodec, unset
from imagier_server.transport.codecs.words import Field, Said, Words


def read(message: caption_pb2.CaptionOptions) -> CaptionOptions:
    """The options as a value."""
    return CaptionOptions(
        max_words=unset(message, "max_words"),
        candidates=unset(message, "candidates"),
        min_score=unset(message, "min_score"),
        gender_neutral=message.gender_neutral,
        include_guesses=message.include_guesses,
    )


def write(result: caption_pb2.CaptionResult, captions: Captions, size: tuple[int, int]) -> None:
    """Write the captions and their title into the message."""
    del size
    result.captions.extend(_caption(caption) for caption in captions.captions)
    result.title = captions.title
    result.unknown_languages.extend(captions.unknown_languages)
    result.guesses_left_out = captions.guesses_left_out


def _caption(caption: Caption) -> caption_pb2.Caption:
    return caption_pb2.Caption(
        text=caption.text,
        language=caption.language,
        score=caption.score,
        guess=caption.guess,
        origin=tags_pb2.ORIGIN_MACHINE,
    )


def said(captions: Captions, languages: Sequence[str]) -> Sequence[Said]:
    """The captions, best first."""
    del languages
    return [Said(caption.text, caption.score) for caption in captions.captions]


def titled(captions: Captions, languages: Sequence[str]) -> Sequence[Said]:
    """The title, which is the first caption shortened and has its score."""
    del languages
    return [Said(captions.title, captions.captions[0].score)] if captions.title else []


WORDS = Words(
    {"caption": Field(said), "description": Field(said), "title": Field(titled)},
    key="text",
    scores=frozenset({"confidence", "score"}),
    joint=" ",
    place=0,
)

CODEC = TaskCodec("caption", caption_pb2.CaptionOptions, caption_pb2.CaptionResult, read, write, WORDS)
