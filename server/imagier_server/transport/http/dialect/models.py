# SPDX-License-Identifier: Apache-2.0
"""The models that a dialect offers: `imagier` stands for all tasks of this server, `imagier-<task>` for one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from imagier_server.catalogue import Catalogue, TaskInfo
from imagier_server.errors import UnknownModelError
from imagier_server.transport.codecs.registry import codecs
from imagier_server.transport.codecs.words import Words

ALL = "imagier"
_LATEST = ":latest"
"""Ollama's tag of a name without one."""


@dataclass(frozen=True, slots=True)
class DialectModel:
    """A model's name, its tasks in the order of a text, and the SHA-256 of the weights behind it."""

    name: str
    tasks: tuple[TaskInfo, ...]
    digest: str

    @property
    def fields(self) -> Mapping[str, Words]:
        """The words of its tasks, by the names of the fields that they fill."""
        return {name: words for task in self.tasks for words in (words_of(task.name),) for name in words.fields}


def words_of(task: str) -> Words:
    """The words of a task of a `DialectModel`."""
    words = codecs()[task].words
    assert words is not None, "only tasks with words are in a model"
    return words


def offered(catalogue: Catalogue) -> Mapping[str, DialectModel]:
    """The models by name: those of installed tasks that answer in words. `imagier` is always there."""
    digests = {model.name: model.digest for model in catalogue.models}
    tasks = sorted(
        (task for task in catalogue.tasks if codecs()[task.name].words and digests.keys() >= set(task.models)),
        key=lambda task: words_of(task.name).place,
    )
    chosen = {ALL: tuple(tasks)} | {f"{ALL}-{task.name}": (task,) for task in tasks}
    return {name: DialectModel(name, tasks, _digest(tasks, digests)) for name, tasks in chosen.items()}


def find(models: Mapping[str, DialectModel], name: str) -> DialectModel:
    """The model of that name, with or without `:latest`. Raises `UnknownModelError`."""
    if model := models.get(name.removesuffix(_LATEST)):
        return model
    raise UnknownModelError(f"there is no such model: name {', '.join(models)}", field="model")


def _digest(tasks: tuple[TaskInfo, ...], digests: Mapping[str, str]) -> str:
    roles = sorted({role for task in tasks for role in task.models})
    return hashlib.sha256("".join(digests[role] for role in roles).encode()).hexdigest()
