# SPDX-License-Identifier: Apache-2.0
"""The registry of codecs: one line per built-in task, plus entry points of other distributions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType

from imagier_server.tasks.registry import tasks
from imagier_server.transport.codecs import caption, embedding, fingerprint, ocr, tags
from imagier_server.transport.codecs.codec import TaskCodec

BUILT_IN = (
    tags.CODEC,
    ocr.CODEC,
    caption.CODEC,
    embedding.CODEC,
    fingerprint.CODEC,
)
"""A built-in task has a field of its own in the request and the response."""

GROUP = "imagier.task_codecs"
"""Entry point group of further `TaskCodec`s, whose messages go into `extensions`."""


@cache
def codecs() -> Mapping[str, TaskCodec]:
    """Load all codecs by task. Raises `ImportError` for a task without a codec, or a codec without a task."""
    further = [point.load() for point in entry_points(group=GROUP)]
    found = {codec.task: codec for codec in (*BUILT_IN, *further)}
    if alone := sorted(found.keys() ^ {task.name for task in tasks()}):
        raise ImportError(
            f"{', '.join(alone)}: a task needs a task class and a codec; uninstall what brings one of them"
        )
    return MappingProxyType(found)
