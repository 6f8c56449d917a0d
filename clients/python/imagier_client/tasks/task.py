# SPDX-License-Identifier: Apache-2.0
"""A task as the client knows it: options and result as values, their messages, and how people are shown the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast

from google.protobuf.message import Message

from imagier_client.errors import ImagierClientError
from imagier_client.tasks.flags import Flag
from imagier_client.tasks.shown import Keyword, Section

R = TypeVar("R", bound="TaskResult")
O = TypeVar("O", bound="TaskOptions[Any]")  # noqa: E741


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model that took part in an answer; `research_only` if its terms allow research and private use only."""

    name: str
    version: str
    research_only: bool = False


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The part that all results share: the models that worked, the cost in credits, and `error` if this task alone failed."""

    models: tuple[ModelReference, ...] = ()
    cost: int = 0
    error: ImagierClientError | None = None

    @property
    def ok(self) -> bool:
        """Whether this task succeeded."""
        return self.error is None


class Answer(Protocol):
    """An answer with its results by task."""

    @property
    def results(self) -> Mapping[str, TaskResult]: ...


class TaskOptions(Generic[R]):
    """Asks for the task called `task`, whose result is an `R`. Subclasses are frozen dataclasses with slots."""

    __slots__ = ()
    task: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[O, R]):
    """A task: its types, and functions between them. The fields 1 to 3 of `result_message` are status, models and cost.

    `write` puts options into a message or raises InvalidRequestError. `read` makes a result of a message, given the languages asked
    for. `show` gets the languages that there are columns for, None for all that the result has. `notes` are what people should hear
    once in a run; `keywords`, where a task has any, go into documents. `flags` set its options on the command line.
    """

    options: type[O]
    options_message: type[Message]
    result_message: type[Message]
    write: Callable[[Any, O], None]
    read: Callable[[Any, Sequence[str]], R]
    show: Callable[[R, Sequence[str] | None], Section]
    notes: Callable[[R], Iterable[str]] = lambda _: ()
    keywords: Callable[[R], Iterable[Keyword]] | None = None
    flags: tuple[Flag, ...] = ()

    @property
    def name(self) -> str:
        """The task's name."""
        return self.options.task


class ResultOf(Generic[R]):
    """A descriptor that reads the result of `task` from an answer; None if the task was not asked for."""

    def __init__(self, task: Task[Any, R]) -> None:
        self.task = task

    def __get__(self, answer: Answer, _: type[Answer]) -> R | None:
        return cast("R | None", answer.results.get(self.task.name))
