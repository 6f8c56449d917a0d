# SPDX-License-Identifier: Apache-2.0
"""The interface of a task's codec, and shared conversions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from google.protobuf.message import Message
from imagier.v1 import model_pb2

from imagier_server.messages import TaskOptions, TaskOutcome
from imagier_server.transport.codecs.words import Words

T = TypeVar("T")

_MOST_WORDS = 10_000
"""More entries than any field allows."""


@dataclass(frozen=True, slots=True)
class TaskCodec:
    """A task's codec. `options` and `result` are its messages; the result's fields 1 to 3 are status, models and cost.

    `read` converts the options message; `write` fills the result message, given the upright picture's (width, height). `words`: how
    it answers in foreign APIs; None if it does not.
    """

    task: str
    options: type[Message]
    result: type[Message]
    read: Callable[[Any], TaskOptions]
    write: Callable[[Any, Any, tuple[int, int]], None]
    words: Words | None = None


def first(words: Iterable[T]) -> tuple[T, ...]:
    """Convert just enough entries to be refused for their number: a message full of short words would take gigabytes."""
    return tuple(islice(words, _MOST_WORDS))


def unset(message: Any, field: str) -> Any:
    """The value of an optional scalar field, or None if it is not set."""
    return getattr(message, field) if message.HasField(field) else None


def models(outcome: TaskOutcome) -> list[model_pb2.ModelReference]:
    """The models behind an outcome."""
    return [
        model_pb2.ModelReference(name=model.name, version=model.version, research_only=model.research_only)
        for model in outcome.models
    ]
