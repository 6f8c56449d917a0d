# SPDX-License-Identifier: Apache-2.0
"""Every task of this server, one line each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from imagier_server.tasks.caption import CaptionTask
from imagier_server.tasks.keywords import Keywords
from imagier_server.tasks.tags import TagsTask
from imagier_server.tasks.task import Task
from imagier_server.tasks.text import TextTask

TASKS = (TagsTask, TextTask, CaptionTask)


def load(repository: Path) -> Mapping[str, Task[Any, Any]]:
    """The tasks by name, with the labels of that model repository."""
    tasks: list[Task[Any, Any]] = [task.load(repository) for task in TASKS]
    return MappingProxyType({task.name: task for task in tasks})


def keywords(tasks: Mapping[str, Task[Any, Any]]) -> Keywords:
    """The words of the tags task: what a library's keywords are matched with."""
    tags = tasks[TagsTask.name]
    assert isinstance(tags, TagsTask)
    return tags.keywords
