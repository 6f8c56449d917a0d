# SPDX-License-Identifier: Apache-2.0
"""Merging of several answers about one picture, whose failed tasks alone were asked for again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.rpc import status_pb2
from imagier.v1 import annotator_pb2
from imagier.v1.timing_pb2 import Timings

from imagier_client.errors import ImagierClientError, from_status
from imagier_client.tasks import envelope
from imagier_client.tasks.registry import tasks


def failed(response: annotator_pb2.AnnotateResponse) -> dict[str, ImagierClientError]:
    """Returns the tasks of an answer that failed, each with its error."""
    results = envelope.results(response)
    return {name: from_status(result.status) for name, result in results.items() if result.status.code}


def succeeded(response: annotator_pb2.AnnotateResponse) -> set[str]:
    """Returns the tasks of an answer that did not fail."""
    return {name for name, result in envelope.results(response).items() if not result.status.code}


def add(whole: annotator_pb2.AnnotateResponse, later: annotator_pb2.AnnotateResponse) -> None:
    """Replaces results by those of a later attempt; costs and times add up."""
    for name, result in envelope.results(later).items():
        envelope.answer(whole, name, result)
    whole.cost += later.cost
    _add_times(whole.timings, later.timings)


def fail(whole: annotator_pb2.AnnotateResponse, names: Iterable[str], status: status_pb2.Status) -> None:
    """Gives these tasks the status with which a later attempt failed as a whole."""
    known = envelope.results(whole)
    for name in names:
        result: Any = known[name] if name in known else tasks()[name].result_message()
        result.status.CopyFrom(status)
        envelope.answer(whole, name, result)


def _add_times(whole: Timings, later: Timings) -> None:
    whole.total.FromNanoseconds(whole.total.ToNanoseconds() + later.total.ToNanoseconds())
    known = {(stage.task, stage.stage): stage for stage in whole.stages}
    for stage in later.stages:
        same = known.get((stage.task, stage.stage))
        if same is None:
            whole.stages.append(stage)
        else:
            same.duration.FromNanoseconds(same.duration.ToNanoseconds() + stage.duration.ToNanoseconds())
