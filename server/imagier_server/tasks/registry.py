# SPDX-License-Identifier: Apache-2.0
"""The registry of tasks: one line per built-in task, plus entry points of other distributions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any

from imagier_server.tasks.caption.task import CaptionTask
from imagier_server.tasks.embedding.task import EmbeddingTask
from imagier_server.tasks.fingerprint.task import FingerprintTask
from imagier_server.tasks.ocr.task import OcrTask
from imagier_server.tasks.tags.task import TagsTask
from imagier_server.tasks.task import Task, TaskClass

BUILT_IN: tuple[TaskClass, ...] = (
    TagsTask,
    OcrTask,
    CaptionTask,
    EmbeddingTask,
    FingerprintTask,
)

GROUP = "imagier.tasks"
"""Entry point group of further task classes; each also needs a codec (`transport/codecs/registry.py`)."""


@cache
def tasks() -> tuple[TaskClass, ...]:
    """All task classes. Raises `ImportError` if two have one name."""
    found = (*BUILT_IN, *(point.load() for point in entry_points(group=GROUP)))
    if twice := [name for name, count in Counter(task.name for task in found).items() if count > 1]:
        raise ImportError(f"two installed distributions bring the task {twice[0]}: uninstall one of them")
    return found


def load(repository: Path) -> Mapping[str, Task[Any, Any]]:
    """Load all tasks by name, with their assets from a model repository."""
    return MappingProxyType({task.name: task.load(repository) for task in tasks()})
