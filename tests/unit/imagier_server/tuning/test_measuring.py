# SPDX-License-Identifier: Apache-2.0
"""How a way is measured, before an engine that answers at once. Real ones answer in tests/e2e/test_tune.py."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from imagier_server.golden import Asked
from imagier_server.messages import Tensors
from imagier_server.overlay import FP32, ONNX_RUNTIME, Way
from imagier_server.triton import TritonEngine
from imagier_server.tuning import measuring

WAY = Way(ONNX_RUNTIME, FP32, 2, 1)
ASKED = [Asked({"x": np.full((1, 1), value)}, {"y": np.full((1, 1), value, np.int32)}) for value in (1, 2, 3)]


@dataclass
class Engine:
    """Answers with what it is asked plus `more`."""

    more: int = 0
    answered: int = 0
    running: int = 0
    most: int = 0

    async def infer(self, model: str, inputs: Tensors, call: Any) -> Tensors:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        self.answered += 1
        return {"y": (np.asarray(inputs["x"]) + self.more).astype(np.int32)}


async def test_so_many_requests_are_in_flight_and_no_more() -> None:
    engine = Engine()
    assert await measuring._seconds(cast("TritonEngine", engine), "one", ASKED, 5, 4) > 0
    assert (engine.answered, engine.most) == (15, 4)


async def test_a_way_has_a_rate_and_a_time_alone() -> None:
    engine = Engine()
    found = await measuring._figures(cast("TritonEngine", engine), "one", WAY, ASKED, seconds=0.001)
    assert found.fault == ""
    assert found.alone_ms > 0
    assert found.per_second > 0
    assert engine.most >= measuring.IN_FLIGHT


async def test_a_way_that_answers_otherwise_is_not_measured() -> None:
    engine = Engine(more=1)
    found = await measuring._figures(cast("TritonEngine", engine), "one", WAY, ASKED, seconds=1)
    assert found.fault == "answers otherwise"
    assert engine.answered == WAY.instances * len(ASKED)
