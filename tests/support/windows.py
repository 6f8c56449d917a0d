# SPDX-License-Identifier: Apache-2.0
"""Requests and answers of a window, and a clock that a test sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from imagier.v1 import annotator_pb2
from imagier_client.errors import UnavailableError
from imagier_client.retry import RetryPolicy
from imagier_client.window import Window

BROKEN = UnavailableError("broken", retryable=True)


POLICY = RetryPolicy(patience=60.0)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def sent(window: Window[Any]) -> list[str]:
    ids = []
    while (message := window.next_to_send()) is not None:
        ids.append(message.request.request_id)
    return ids


def good(request_id: str) -> annotator_pb2.AnnotateStreamResponse:
    response = annotator_pb2.AnnotateResponse(request_id=request_id, width=1)
    return annotator_pb2.AnnotateStreamResponse(request_id=request_id, response=response)


def failure(code: int, retry_after: int | None = None) -> status_pb2.Status:
    made = status_pb2.Status(code=code)
    made.details.add().Pack(error_details_pb2.ErrorInfo(reason="SOME", domain="imagier"))
    if retry_after is not None:
        made.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=retry_after)))
    return made


AWAY = failure(14, 2)


FOR_GOOD = failure(13)


def bad(request_id: str, status: status_pb2.Status = AWAY) -> annotator_pb2.AnnotateStreamResponse:
    return annotator_pb2.AnnotateStreamResponse(request_id=request_id, error=status)


def of_tasks(request_id: str, **statuses: status_pb2.Status | None) -> annotator_pb2.AnnotateStreamResponse:
    """An answer with these tasks, each with its status; `None` for one that succeeded, as `version` "2" and for a credit."""
    message = good(request_id)
    for task, status in statuses.items():
        result = getattr(message.response, task)
        result.SetInParent()
        if status is None:
            result.cost = 1
            message.response.cost += 1
            result.models.add(name=task, version="2")
        else:
            result.status.CopyFrom(status)
    message.response.timings.total.FromSeconds(1)
    for task in ("", *statuses):
        message.response.timings.stages.add(task=task, stage=3).duration.FromSeconds(1)
    return message


def run_out(w: Window[Any], clock: Clock, answer: Callable[[str], annotator_pb2.AnnotateStreamResponse]) -> Any:
    """What becomes of a picture that always gets this answer."""
    while True:
        for request_id in sent(w):
            if (answered := w.receive(answer(request_id))) is not None:
                return answered[1]
        assert w.wait is not None
        clock.now += w.wait
