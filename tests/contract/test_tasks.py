# SPDX-License-Identifier: Apache-2.0
"""A task is whole: messages and values for its options and its result, a registry line, catalogue rows, a test file."""

from __future__ import annotations

import dataclasses
import inspect
from importlib import import_module
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor
from imagier.v1 import annotator_pb2
from imagier_server.export.catalogue import CATALOGUE
from imagier_server.tasks import registry

ROOT = Path(__file__).parents[2]

# The contract keeps the numbers from 10 for tasks; below and from 20 lies what belongs to the picture.
TASK_NUMBERS = range(10, 20)
TASKS = {task.name: task for task in registry.tasks()}


def fields_of(message: str) -> dict[str, FieldDescriptor]:
    fields = annotator_pb2.DESCRIPTOR.message_types_by_name[message].fields
    return {field.name: field for field in fields if field.number in TASK_NUMBERS}


ASKED = fields_of("AnnotateRequest")
ANSWERED = fields_of("AnnotateResponse")


def test_what_can_be_asked_is_what_is_answered_and_what_is_registered() -> None:
    assert ASKED.keys() == ANSWERED.keys() == TASKS.keys()
    assert {name: field.number for name, field in ASKED.items()} == {
        name: field.number for name, field in ANSWERED.items()
    }


def test_every_model_of_the_catalogue_serves_a_task() -> None:
    assert {row.task for row in CATALOGUE.values()} <= TASKS.keys()


@pytest.mark.parametrize("name", TASKS)
def test_the_messages_are_named_after_the_task(name: str) -> None:
    assert ASKED[name].message_type.name == f"{name.title()}Options"
    assert ANSWERED[name].message_type.name == f"{name.title()}Result"


@pytest.mark.parametrize("name", TASKS)
def test_every_result_says_its_status_its_models_and_its_cost(name: str) -> None:
    head = {field.name: field.number for field in ANSWERED[name].message_type.fields if field.number <= 3}
    assert head == {"status": 1, "models": 2, "cost": 3}


@pytest.mark.parametrize("name", TASKS)
def test_every_option_has_its_value_inside(name: str) -> None:
    values = import_module(f"imagier_server.tasks.{name}.values")
    options = getattr(values, f"{name.title()}Options")
    assert [field.name for field in ASKED[name].message_type.fields] == [
        field.name for field in dataclasses.fields(options)
    ]


@pytest.mark.parametrize("name", TASKS)
def test_every_model_of_a_task_has_a_row_in_the_catalogue_and_a_config(name: str) -> None:
    for role in TASKS[name].models:
        assert CATALOGUE[role].task == name
        assert (ROOT / "model_repository" / role / "config.pbtxt").is_file()


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_its_file_and_its_test(name: str) -> None:
    assert TASKS[name].__module__ == f"imagier_server.tasks.{name}.task"
    assert (ROOT / f"tests/unit/imagier_server/tasks/{name}/test_task.py").is_file()


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_the_same_anatomy(name: str) -> None:
    task = TASKS[name]
    assert inspect.iscoroutinefunction(task.run)
    assert not inspect.iscoroutinefunction(task.check)
    assert not inspect.iscoroutinefunction(task.scale)
    assert list(inspect.signature(task.run).parameters) == ["self", "picture", "options", "languages", "steps"]
