# SPDX-License-Identifier: Apache-2.0
"""Which series of /metrics have moved since an earlier look, and what moves with which event."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
from imagier.v1 import annotator_pb2, tags_pb2

from support.running_gateway import Gateway

# What moves by itself, or by amounts that only a clock knows.
UNSTEADY = re.compile(r"(process|python)_|\w+_(sum|bucket)\b|imagier_(cpu_seconds_total|event_loop_|memory_|arriving_)")


LIMIT = 64 * 1024


WITHOUT_TEXT = {
    'imagier_engine_requests_total{code="ok",model="tagger"}': 1,
    'imagier_engine_request_rows_count{model="tagger"}': 1,
    'imagier_tasks_total{code="ok",task="tags"}': 1,
    'imagier_task_duration_seconds_count{outcome="ok",task="tags"}': 1,
    'imagier_stage_duration_seconds_count{stage="decode",task=""}': 1,
    'imagier_stage_duration_seconds_count{stage="prepare",task="tags"}': 1,
    'imagier_stage_duration_seconds_count{stage="infer",task="tags"}': 1,
    'imagier_stage_duration_seconds_count{stage="finish",task="tags"}': 1,
    'imagier_image_bytes_count{format="image/jpeg"}': 1,
    'imagier_image_pixels_count{format="image/jpeg"}': 1,
}


def lane(code: str, count: int = 1, name: str = "interactive") -> dict[str, float]:
    return {
        f'imagier_requests_total{{code="{code}",lane="{name}",transport="grpc"}}': count,
        f'imagier_request_duration_seconds_count{{lane="{name}"}}': count,
    }


def task(name: str, code: str, outcome: str, reason: str = "") -> dict[str, float]:
    moved: dict[str, float] = {
        f'imagier_tasks_total{{code="{code}",task="{name}"}}': 1,
        f'imagier_task_duration_seconds_count{{outcome="{outcome}",task="{name}"}}': 1,
    }
    return moved | ({f'imagier_task_failures_total{{reason="{reason}",task="{name}"}}': 1} if reason else {})


def engine(code: str, count: int = 1) -> dict[str, float]:
    return {f'imagier_engine_attempts_total{{code="{code}",engine="ENGINE"}}': count}


def only_tags(image: bytes) -> annotator_pb2.AnnotateRequest:
    return annotator_pb2.AnnotateRequest(image=image, tags=tags_pb2.TagsOptions())


async def samples(running: Gateway) -> dict[str, float]:
    """By line; the address of the engine, which differs from run to run, is ENGINE."""
    return {re.sub(r'engine="[^"]+"', 'engine="ENGINE"', line): n for line, n in (await running.samples()).items()}


async def moved(running: Gateway, event: Callable[[], Awaitable[Any]]) -> dict[str, float]:
    before = await samples(running)
    with suppress(grpc.aio.AioRpcError):
        await event()
    after = await samples(running)
    assert before.keys() == after.keys(), "every series was there from the start"
    return {line: after[line] - before[line] for line in after if after[line] != before[line] and steady(line)}


def steady(line: str) -> bool:
    return not UNSTEADY.match(line)
