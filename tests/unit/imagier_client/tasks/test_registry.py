# SPDX-License-Identifier: Apache-2.0
"""Every task of the contract is known, and those that others bring."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from imagier.v1 import annotator_pb2
from imagier_client.tasks import registry
from imagier_client.tasks.tags import Tag, TagsResult


def test_every_task_of_the_contract_is_built_in() -> None:
    request, response = annotator_pb2.AnnotateRequest.DESCRIPTOR, annotator_pb2.AnnotateResponse.DESCRIPTOR
    tasks = {task.name: task for task in registry.BUILT_IN}
    own = {field.name for field in request.fields if field.message_type is not None} - {
        "extensions",
        "processing_receipt",
    }
    assert set(tasks) == own
    for name, task in tasks.items():
        assert request.fields_by_name[name].message_type is task.options_message.DESCRIPTOR
        assert response.fields_by_name[name].message_type is task.result_message.DESCRIPTOR


@pytest.mark.usefixtures("mood")
def test_a_task_of_another_distribution_comes_last() -> None:
    assert list(registry.tasks()) == ["caption", "tags", "ocr", "embedding", "fingerprint", "mood"]


def test_no_two_tasks_have_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    again = SimpleNamespace(load=lambda: registry.BUILT_IN[0])
    monkeypatch.setattr(registry, "entry_points", lambda group: [again])
    registry.tasks.cache_clear()
    with pytest.raises(ImportError, match="two installed distributions bring the task caption"):
        registry.tasks()
    monkeypatch.undo()
    assert len(registry.tasks()) == len(registry.BUILT_IN)


@pytest.mark.parametrize("task", registry.BUILT_IN, ids=lambda task: task.name)
def test_the_first_fields_of_a_result_are_status_models_and_cost(task: Any) -> None:
    fields = task.result_message.DESCRIPTOR.fields_by_number
    assert [fields[number].name for number in (1, 2, 3)] == ["status", "models", "cost"]


@pytest.mark.parametrize("task", registry.BUILT_IN, ids=lambda task: task.name)
def test_nothing_found_shows_no_line(task: Any) -> None:
    nothing = task.read(task.result_message(), ("en",))
    section = task.show(nothing, ("en",))
    assert (section.lines, section.none) == ((), "none")
    assert list(task.notes(nothing)) == []


def test_results_are_shown_and_listed_by_their_tasks() -> None:
    result = TagsResult(tags=(Tag("n1", {"en": "cat"}, 0.5),))
    ((name, same, section),) = registry.sections({"tags": result}, ("en",))
    assert (name, same, section.lines[0].cells) == ("tags", result, ("cat",))
    (keyword,) = registry.keywords({"tags": result})["tags"]
    assert (keyword.label, keyword.description) == ("cat", "WordNet 3.0 n1, score 0.50")
