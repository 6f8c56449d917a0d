# SPDX-License-Identifier: Apache-2.0
"""The caption task: what a picture shows, in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from imagier.v1 import caption_pb2

from imagier_client.tasks.flags import Flag
from imagier_client.tasks.shown import Line, Section
from imagier_client.tasks.task import Task, TaskOptions, TaskResult
from imagier_client.tasks.wire import common, fill, origin


@dataclass(frozen=True, slots=True)
class CaptionCandidate:
    """A sentence that says what the picture shows. `score` 0 to 1; show people a `guess` as one."""

    text: str
    language: str
    score: float
    guess: bool
    origin: str = "machine"


@dataclass(frozen=True, slots=True)
class CaptionResult(TaskResult):
    """The caption task's answer, best first; `title` is the first caption shortened, and as much of a guess.

    None and no error: the captioner was not sure enough; `guesses_left_out` is how many `include_guesses` would have shown.
    """

    captions: tuple[CaptionCandidate, ...] = ()
    title: str = ""
    unknown_languages: tuple[str, ...] = ()
    guesses_left_out: int = 0


@dataclass(frozen=True, slots=True)
class Caption(TaskOptions[CaptionResult]):
    """Asks for captions; `None` is the server's default. `candidates` is how many, no two of them alike.

    Those below `min_score` are guesses, and left out without `include_guesses`.
    """

    task: ClassVar[str] = "caption"
    max_words: int | None = None
    candidates: int | None = None
    min_score: float | None = None
    gender_neutral: bool = False
    include_guesses: bool = False


def write(message: caption_pb2.CaptionOptions, options: Caption) -> None:
    """Puts the options into the message. Raises InvalidRequestError."""
    fill(
        message,
        "caption.",
        max_words=options.max_words,
        candidates=options.candidates,
        min_score=options.min_score,
        gender_neutral=options.gender_neutral,
        include_guesses=options.include_guesses,
    )


def read(message: caption_pb2.CaptionResult, languages: Sequence[str]) -> CaptionResult:
    """The message as a value."""
    del languages
    return CaptionResult(
        **common(message),
        captions=tuple(
            CaptionCandidate(caption.text, caption.language, caption.score, caption.guess, origin(caption.origin))
            for caption in message.captions
        ),
        title=message.title,
        unknown_languages=tuple(message.unknown_languages),
        guesses_left_out=message.guesses_left_out,
    )


def show(result: CaptionResult, languages: Sequence[str] | None) -> Section:
    """Each caption, guesses marked; then the title."""
    del languages
    lines = [
        Line((caption.text,), caption.score, note="a guess" if caption.guess else "") for caption in result.captions
    ]
    if result.title:
        lines.append(Line((result.title,), kind="title"))
    return Section("caption", tuple(lines), none="none sure enough" if result.guesses_left_out else "none")


def notes(result: CaptionResult) -> Iterator[str]:
    """The languages that are not spoken, and whether guesses were left out."""
    for spoken in result.captions[:1]:
        for language in result.unknown_languages:
            yield f"captions are in {spoken.language}: the captioner does not speak {language}"
    if result.guesses_left_out:
        yield "captions that are probably wrong are left out: --include-guesses shows them"


TASK = Task(
    options=Caption,
    options_message=caption_pb2.CaptionOptions,
    result_message=caption_pb2.CaptionResult,
    write=write,
    read=read,
    show=show,
    notes=notes,
    flags=(
        Flag("candidates", "At most so many a picture.", name="--candidates", minimum=1, default="1"),
        Flag("max_words", "At most so many words each.", name="--max-words", minimum=1),
        Flag("gender_neutral", "A person, not a woman or a man.", name="--gender-neutral"),
        Flag("include_guesses", "Also those that are probably wrong, marked.", name="--include-guesses"),
    ),
)
