# SPDX-License-Identifier: Apache-2.0
"""The tasks' messages in a request and a response: a built-in task's in the field of its name, others in `extensions`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import DecodeError, Message
from imagier.v1.annotator_pb2 import AnnotateRequest, AnnotateResponse

from imagier_client.errors import InvalidRequestError
from imagier_client.tasks.registry import BUILT_IN, tasks
from imagier_client.tasks.task import Task, TaskOptions


def ask(request: AnnotateRequest, options: TaskOptions[Any]) -> None:
    """Adds a task to the request. Raises InvalidRequestError for a value of no task, and for a task that is asked for already."""
    task = next((task for task in tasks().values() if type(options) is task.options), None)
    if task is None:
        known = ", ".join(f"{task.options.__name__}()" for task in tasks().values())
        raise InvalidRequestError(
            f"tasks are asked for by values such as {known}, not by one of type {type(options).__name__}", field="tasks"
        )
    if task.name in asked(request):
        raise InvalidRequestError("the task is asked for twice", field=task.name)
    message = task.options_message()
    task.write(message, options)
    if task in BUILT_IN:
        field = getattr(request, task.name)
        field.SetInParent()  # no option is set, but the task is asked for
        field.CopyFrom(message)
    else:
        request.extensions.add().Pack(message)


def asked(request: AnnotateRequest) -> set[str]:
    """Returns the names of the tasks that a request asks for."""
    message: Any = request  # the fields are known by the names of the tasks
    own = {task.name for task in BUILT_IN if message.HasField(task.name)}
    further = (_of(packed, "options_message") for packed in request.extensions)
    return own | {task.name for task in further if task is not None}


def ask_only(request: AnnotateRequest, names: Collection[str]) -> None:
    """Removes all other tasks from the request."""
    message: Any = request
    for task in BUILT_IN:
        if task.name not in names:
            message.ClearField(task.name)
    known = ((packed, _of(packed, "options_message")) for packed in request.extensions)
    kept = [packed for packed, task in known if task is not None and task.name in names]
    del request.extensions[:]
    request.extensions.extend(kept)


def results(response: AnnotateResponse) -> dict[str, Any]:
    """Returns the result messages of a response by task, in the registry's order. `answer` puts a changed one back."""
    message: Any = response
    found = {task.name: getattr(message, task.name) for task in BUILT_IN if message.HasField(task.name)}
    for packed in response.extensions:
        if task := _of(packed, "result_message"):
            result = task.result_message()
            try:
                packed.Unpack(result)
            except DecodeError:  # as good as none
                continue
            found[task.name] = result
    return {name: found[name] for name in tasks() if name in found}


def answer(response: AnnotateResponse, name: str, result: Message) -> None:
    """Puts a task's result message into the response, in place of an earlier one."""
    task = tasks()[name]
    if task in BUILT_IN:
        if (own := getattr(response, name)) is not result:
            own.CopyFrom(result)
        return
    for packed in response.extensions:
        if _of(packed, "result_message") is task:
            packed.Pack(result)
            return
    response.extensions.add().Pack(result)


def _of(packed: Packed, kind: str) -> Task[Any, Any] | None:
    """Returns the task whose message of this kind is packed, if this client knows it."""
    further = (task for task in tasks().values() if task not in BUILT_IN)
    return next((task for task in further if getattr(task, kind).DESCRIPTOR.full_name == packed.TypeName()), None)
