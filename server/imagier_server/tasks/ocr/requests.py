# SPDX-License-Identifier: Apache-2.0
"""Infers the parts of a picture, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from imagier_server.messages import Pixels, Tensors
from imagier_server.tasks.task import Steps
from imagier_server.timings import Stage

T = TypeVar("T")

IN_FLIGHT = 4
"""Requests of one picture in flight; only their lines are cut out of the page."""


async def infer_all(steps: Steps, model: str, parts: Sequence[T], pixels: Callable[[T], Pixels]) -> list[Tensors]:
    """Infer each part's `pixels` (rows, height, width, 3), a few at a time; the first failure cancels the others."""
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def infer(part: T) -> Tensors:
        async with slots:
            return await steps.infer(model, {"pixels": await steps.compute(Stage.PREPARE, pixels, part)})

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(infer(part)) for part in parts]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
