# SPDX-License-Identifier: Apache-2.0
"""Runs `imagier annotate` in this process, and what is asked of what it says."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
from imagier_client.cli import main

from support.scripted_annotator import (
    BAD_IMAGE,
    Requests,
    StreamResponse,
    answer,
    status,
)

AWAY = status(grpc.StatusCode.UNAVAILABLE, "ENGINE_UNAVAILABLE", retry_after=0.02)


COMMAND = (sys.executable, "-m", "imagier_client.cli", "annotate")


async def run(*arguments: str | Path) -> int:
    return await asyncio.to_thread(main, ["annotate", *map(str, arguments)])


def summary(err: str) -> tuple[str, list[str]]:
    """The line that a run ends with, its time left out, and the lines before."""
    *others, ending = err.splitlines()
    counts, _, duration = ending.rpartition(", ")
    assert duration.endswith(" s")
    return counts, others


async def bad_navy(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
    """Answers the first picture last, and refuses JPEG."""
    first: StreamResponse | None = None
    answered = 0
    async for item in requests:
        made = answer(item.request, BAD_IMAGE if item.request.image.startswith(b"\xff\xd8") else None)
        if first is None:
            first = made
            continue
        yield made
        answered += 1
        if answered == 1:
            yield first
