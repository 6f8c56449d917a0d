# SPDX-License-Identifier: Apache-2.0
"""Every task that this client knows, one line each, and those that other distributions bring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from imagier_client.tasks import caption, embedding, fingerprint, ocr, tags
from imagier_client.tasks.shown import Keyword, Section
from imagier_client.tasks.task import ResultOf, Task, TaskResult


class BuiltInResults:
    """The built-in tasks, in the order in which people are shown them. Each attribute reads the result of its task.

    A built-in task has a field of its own in the request and the response.
    """

    __slots__ = ()
    results: Mapping[str, TaskResult]

    caption = ResultOf(caption.TASK)
    tags = ResultOf(tags.TASK)
    ocr = ResultOf(ocr.TASK)
    embedding = ResultOf(embedding.TASK)
    fingerprint = ResultOf(fingerprint.TASK)


BUILT_IN: tuple[Task[Any, Any], ...] = tuple(
    result.task for result in vars(BuiltInResults).values() if isinstance(result, ResultOf)
)

GROUP = "imagier.client_tasks"
"""Entry points of further `Task`s: their messages travel in `extensions`."""


@cache
def tasks() -> Mapping[str, Task[Any, Any]]:
    """All tasks by name. Raises ImportError if two have one name."""
    found = (*BUILT_IN, *(point.load() for point in entry_points(group=GROUP)))
    if twice := [name for name, count in Counter(task.name for task in found).items() if count > 1]:
        raise ImportError(f"two installed distributions bring the task {twice[0]}: uninstall one of them")
    return MappingProxyType({task.name: task for task in found})


def sections(
    results: Mapping[str, TaskResult], languages: Sequence[str] | None = None
) -> Iterator[tuple[str, TaskResult, Section]]:
    """Each result by its task's name, and what people are shown of it; see `Task.show` for the languages."""
    for name, result in results.items():
        yield name, result, tasks()[name].show(result, languages)


def keywords(results: Mapping[str, TaskResult]) -> Mapping[str, tuple[Keyword, ...]]:
    """The keywords of each result whose task has any."""
    having = ((name, tasks()[name].keywords) for name in results)
    return {name: tuple(given(results[name])) for name, given in having if given is not None}
