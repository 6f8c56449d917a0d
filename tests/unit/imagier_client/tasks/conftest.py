# SPDX-License-Identifier: Apache-2.0
"""A task that another distribution brings, as far as the client's own modules are concerned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import ClassVar

import pytest
from imagier.v1 import caption_pb2
from imagier_client.tasks import caption, registry
from imagier_client.tasks.caption import CaptionResult
from imagier_client.tasks.shown import Keyword
from imagier_client.tasks.task import Task, TaskOptions
from imagier_client.tasks.wire import fill


@dataclass(frozen=True, slots=True)
class Mood(TaskOptions[CaptionResult]):
    task: ClassVar[str] = "mood"
    max_words: int | None = None


# Messages that travel in no field of their own, whatever else they are.
MOOD = Task(
    options=Mood,
    options_message=caption_pb2.CaptionOptions,
    result_message=caption_pb2.CaptionResult,
    write=lambda message, options: fill(message, "mood.", max_words=options.max_words),
    read=caption.read,
    show=lambda result, languages: replace(caption.show(result, languages), heading="the mood"),
    keywords=lambda result: [Keyword(result.title, "a mood")],
)


@pytest.fixture
def mood(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Mood]]:
    """Asks for the task "mood", which is installed."""
    installed = {registry.GROUP: [SimpleNamespace(load=lambda: MOOD)]}
    monkeypatch.setattr(registry, "entry_points", lambda group: installed[group])
    registry.tasks.cache_clear()
    yield Mood
    registry.tasks.cache_clear()
