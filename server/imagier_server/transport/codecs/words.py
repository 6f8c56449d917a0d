# SPDX-License-Identifier: Apache-2.0
"""A task's result in words, for foreign APIs whose callers ask for fields by name instead of for tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that a result says. `score`: the probability that it is right, 0 to 1."""

    text: str
    score: float


Read = Callable[[Any, Sequence[str]], Sequence[Said]]
"""(result, languages in the order of preference) → what it says, best first or in reading order."""


class Form(Enum):
    """The form of a field's value: a string, an object, or an array of either."""

    STRING = auto()
    OBJECT = auto()
    STRINGS = auto()
    OBJECTS = auto()


@dataclass(frozen=True, slots=True)
class Field:
    """A field that a task fills; `form` where the caller asks for none."""

    read: Read
    form: Form = Form.STRING


@dataclass(frozen=True, slots=True)
class Words:
    """How a task answers in words.

    `fields` by the names that callers use, the plain one first. In a JSON object, `key` holds the words, each of `scores` the
    score. `joint` joins several in one string, and `place` orders the tasks in one text.
    """

    fields: Mapping[str, Field]
    key: str
    scores: frozenset[str]
    joint: str
    place: int

    @property
    def plain(self) -> Read:
        """What answers a caller that asks for no field."""
        return next(iter(self.fields.values())).read
