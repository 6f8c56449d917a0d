# SPDX-License-Identifier: Apache-2.0
"""A model is ready on a Triton only if it gives its golden answers there."""

from __future__ import annotations

import logging
from typing import Any

import grpc
import numpy as np
import pytest
from imagier_server.golden import Golden
from imagier_server.metrics import Metrics
from imagier_server.triton import TritonEngine
from support.fake_triton import FakeTriton, locked, refusing, response, serving

MODELS = {role: locked(role) for role in ("text_embedder", "other")}
EXPECTED = np.array([[0.6, 0.8]], np.float32)
GOLDEN = {"text_embedder": (Golden({"tokens": np.array([[1, 2]])}, "vector", EXPECTED),)}


def answering(vector: list[float]) -> Any:
    async def answer(request: Any, context: Any) -> Any:
        return response(vector=np.array([vector], np.float32))

    return answer


@pytest.fixture
def fake() -> FakeTriton:
    return FakeTriton(dict(MODELS), loaded=set(MODELS))


async def checks(fake: FakeTriton, count: int = 1, *, returns_ids: bool = False) -> list[bool]:
    async with serving(fake) as port:
        engine = TritonEngine(f"127.0.0.1:{port}", MODELS, Metrics(), golden=GOLDEN, returns_ids=returns_ids)
        found = [await engine.check() for _ in range(count)]
        await engine.close()
    assert all(each["other"] for each in found)
    return [each["text_embedder"] for each in found]


async def test_a_model_that_gives_them_is_ready_and_asked_once(fake: FakeTriton) -> None:
    fake.behaviours["text_embedder"] = answering([0.6, 0.8])
    assert await checks(fake, 3) == [True] * 3
    assert len(fake.requests) == 1


@pytest.mark.parametrize("vector", [[0.8, 0.6], [0.0, 0.0], [float("nan"), 1.0], [0.6, 0.8, 0.0]])
async def test_a_model_that_drifts_is_not_and_is_told_of_once(
    fake: FakeTriton, caplog: pytest.LogCaptureFixture, vector: list[float]
) -> None:
    fake.behaviours["text_embedder"] = answering(vector)
    assert await checks(fake, 3) == [False] * 3
    assert len(fake.requests) == 1
    told = [record for record in caplog.records if "golden" in record.getMessage()]
    assert [record.levelno for record in told] == [logging.ERROR]


async def test_a_model_that_takes_no_such_input_is_not_ready(fake: FakeTriton) -> None:
    fake.behaviours["text_embedder"] = refusing(grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape")
    assert await checks(fake, 2) == [False] * 2


async def test_golden_answers_to_another_request_prove_nothing(fake: FakeTriton) -> None:
    fake.behaviours["text_embedder"] = answering([0.6, 0.8])  # without the request's id
    assert await checks(fake, 2, returns_ids=True) == [False] * 2
    assert len(fake.requests) == 2, "asked again at the next check"


async def test_a_busy_model_is_asked_again_at_the_next_check(fake: FakeTriton) -> None:
    fake.behaviours["text_embedder"] = refusing(grpc.StatusCode.UNAVAILABLE, "exceeds maximum queue size")
    assert await checks(fake, 2) == [False] * 2
    assert len(fake.requests) == 2


async def test_a_model_that_was_away_is_asked_again(fake: FakeTriton) -> None:
    fake.behaviours["text_embedder"] = answering([0.6, 0.8])
    async with serving(fake) as port:
        engine = TritonEngine(f"127.0.0.1:{port}", MODELS, Metrics(), golden=GOLDEN)
        assert (await engine.check())["text_embedder"]
        fake.loaded.remove("text_embedder")
        assert not (await engine.check())["text_embedder"]
        fake.loaded.add("text_embedder")
        fake.behaviours["text_embedder"] = answering([0.8, 0.6])
        assert not (await engine.check())["text_embedder"]
        await engine.close()
