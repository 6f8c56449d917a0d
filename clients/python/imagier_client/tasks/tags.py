# SPDX-License-Identifier: Apache-2.0
"""The tags task: what a picture shows, as words for a library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from imagier.v1 import tags_pb2

from imagier_client.arguments import strings
from imagier_client.errors import InvalidRequestError
from imagier_client.languages import primary
from imagier_client.plain_text import decoded
from imagier_client.tasks.flags import Flag
from imagier_client.tasks.shown import Keyword, Line, Section
from imagier_client.tasks.task import Task, TaskOptions, TaskResult
from imagier_client.tasks.wire import common, fill, ordered_names, origin


@dataclass(frozen=True, slots=True)
class TagParent:
    """A wider word for a tag. `names` by language, in the order asked for."""

    id: str
    names: dict[str, str] = field(hash=False)

    @property
    def name(self) -> str:
        """Its name in the first language that was asked for and is known."""
        return next(iter(self.names.values()), self.id)


@dataclass(frozen=True, slots=True)
class Tag:
    """Something the picture shows. `score` 0 to 1; `names` by language, in the order asked for; `parents` nearest first."""

    id: str
    names: dict[str, str] = field(hash=False)
    score: float
    origin: str = "machine"
    parents: tuple[TagParent, ...] = ()

    @property
    def name(self) -> str:
        """Its name in the first language that was asked for and is known."""
        return next(iter(self.names.values()), self.id)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A label of your own, and texts that describe it, in any languages; itself, if there are none."""

    label: str
    prompts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundCandidate:
    """A label of yours, and the cosine of its vector and the picture's, -1 to 1: an order, and no probability."""

    label: str
    similarity: float


@dataclass(frozen=True, slots=True)
class TaughtLabel:
    """A label that you have taught (`train_label`), and the probability that the picture has it, 0 to 1."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class TagsResult(TaskResult):
    """The tags task's answer, best first; empty if it failed or nothing was recognised well enough."""

    tags: tuple[Tag, ...] = ()
    unknown_languages: tuple[str, ...] = ()
    candidates: tuple[FoundCandidate, ...] = ()
    taught: tuple[TaughtLabel, ...] = ()


@dataclass(frozen=True, slots=True)
class Tags(TaskOptions[TagsResult]):
    """Asks for tags; `None` is the server's default.

    In the lists a tag is named by its id, or as a library's keyword (see `match_keywords`). `existing_tags` are never repeated.
    `candidates` are labels of your own, scored by their similarity to the picture; `taught` are those of `train_label`.
    """

    task: ClassVar[str] = "tags"
    max_tags: int | None = None
    min_score: float | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    existing_tags: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    taught: tuple[bytes, ...] = ()


def write(message: tags_pb2.TagsOptions, options: Tags) -> None:
    """Puts the options into the message. Raises InvalidRequestError."""
    fill(
        message,
        "tags.",
        max_tags=options.max_tags,
        min_score=options.min_score,
        allow=strings(options.allow, "tags.allow"),
        deny=strings(options.deny, "tags.deny"),
        existing_tags=strings(options.existing_tags, "tags.existing_tags"),
        taught=options.taught,
    )
    for place, candidate in enumerate(options.candidates):
        where = f"tags.candidates[{place}]."
        if not isinstance(candidate, Candidate):
            raise InvalidRequestError("a Candidate is needed", field=f"tags.candidates[{place}]")
        prompts = strings(candidate.prompts, f"{where}prompts")
        fill(message.candidates.add(), where, label=candidate.label, prompts=prompts)


def read(message: tags_pb2.TagsResult, languages: Sequence[str]) -> TagsResult:
    """The message as a value, names in the order of the languages."""
    return TagsResult(
        **common(message),
        tags=tuple(
            Tag(
                id=tag.id,
                names=ordered_names(tag.names, languages),
                score=tag.score,
                origin=origin(tag.origin),
                parents=tuple(TagParent(parent.id, ordered_names(parent.names, languages)) for parent in tag.parents),
            )
            for tag in message.tags
        ),
        unknown_languages=tuple(message.unknown_languages),
        candidates=tuple(FoundCandidate(each.label, each.similarity) for each in message.candidates),
        taught=tuple(TaughtLabel(each.label, each.score) for each in message.taught),
    )


def show(result: TagsResult, languages: Sequence[str] | None) -> Section:
    """A column for each language; English stands in for unknown ones. A name in another language is better than none."""
    if languages is None:
        rows = [tuple(dict.fromkeys(tag.names.values())) for tag in result.tags]
    else:
        spoken = ["en" if language in result.unknown_languages else language for language in languages]
        columns = list(dict.fromkeys(primary(language) for language in spoken or ["en"]))
        named = [tuple(tag.names.get(language, "") for language in columns) for tag in result.tags]
        rows = [row if any(row) else (tag.name,) for row, tag in zip(named, result.tags, strict=True)]
    lines = [Line(row, tag.score, instead=tag.id) for row, tag in zip(rows, result.tags, strict=True)]
    lines += [Line((each.label,), note=f"similarity {each.similarity:.2f}") for each in result.candidates]
    lines += [Line((each.label,), each.score, note="taught") for each in result.taught]
    return Section("tag", tuple(lines), heading="tags")


def notes(result: TagsResult) -> Iterator[str]:
    """The languages that have no names."""
    return (f"tags have no names in {language}: English stands in" for language in result.unknown_languages)


def keywords(result: TagsResult) -> Iterator[Keyword]:
    """Each tag by its first name."""
    return (Keyword(tag.name, f"WordNet 3.0 {tag.id}, score {tag.score:.2f}") for tag in result.tags)


def read_candidates(content: bytes) -> Iterator[Candidate]:
    """The labels of a text file, one a line, its prompts behind it after tabs. Raises ValueError for what is no text."""
    labels: dict[str, list[str]] = {}
    for line in decoded(content).splitlines():
        label, *prompts = (part.strip() for part in line.strip().split("\t"))
        if label:
            labels.setdefault(label, []).extend(filter(None, prompts))
    return (Candidate(label, tuple(prompts)) for label, prompts in labels.items())


TASK = Task(
    options=Tags,
    options_message=tags_pb2.TagsOptions,
    result_message=tags_pb2.TagsResult,
    write=write,
    read=read,
    show=show,
    notes=notes,
    keywords=keywords,
    flags=(
        Flag("max_tags", "At most so many a picture.", name="--max-tags", minimum=1),
        Flag("min_score", "Only those with this score, 0 to 1.", name="--min-score", minimum=0, maximum=1),
        Flag("candidates", "Your own labels to look for, one a line.", read=read_candidates),
        Flag("taught", "A label that you taught (train_label), as its bytes.", read=lambda content: (content,)),
    ),
)
