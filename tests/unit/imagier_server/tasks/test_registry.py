# SPDX-License-Identifier: Apache-2.0
"""Tasks of other distributions: found by their entry points, and a broken set of them is said at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from imagier_server.tasks import registry
from imagier_server.tasks.tags.task import TagsTask
from imagier_server.transport.codecs import registry as codec_registry
from imagier_server.transport.codecs import tags


class Entry:
    def __init__(self, thing: Any) -> None:
        self.load = lambda: thing


BARS = SimpleNamespace(name="bars")
BARS_CODEC = replace(tags.CODEC, task="bars")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Called with what the entry points of each group bring."""

    def install(tasks: list[Any], codecs: list[Any]) -> None:
        found = {registry.GROUP: tasks, codec_registry.GROUP: codecs}
        for module in (registry, codec_registry):
            monkeypatch.setattr(module, "entry_points", lambda group: [Entry(thing) for thing in found[group]])
        registry.tasks.cache_clear()
        codec_registry.codecs.cache_clear()

    yield install
    registry.tasks.cache_clear()
    codec_registry.codecs.cache_clear()


def test_what_is_installed_comes_after_what_is_built_in(installed: Any) -> None:
    installed([BARS], [BARS_CODEC])
    assert registry.tasks() == (*registry.BUILT_IN, BARS)
    assert codec_registry.codecs()["bars"] is BARS_CODEC


def test_two_tasks_of_one_name_are_an_error(installed: Any) -> None:
    installed([SimpleNamespace(name=TagsTask.name)], [])
    with pytest.raises(ImportError, match="bring the task tags: uninstall one"):
        registry.tasks()


@pytest.mark.parametrize(("tasks", "codecs"), [([BARS], []), ([], [BARS_CODEC])])
def test_a_task_and_its_codec_come_together(installed: Any, tasks: list[Any], codecs: list[Any]) -> None:
    installed(tasks, codecs)
    with pytest.raises(ImportError, match=r"^bars: a task needs a task class and a codec"):
        codec_registry.codecs()
