# SPDX-License-Identifier: Apache-2.0
"""How many bulk inferences are in Triton at once, with and without interactive calls beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from imagier.v1 import annotator_pb2, tags_pb2
from imagier_server.call import Lane
from support.fake_triton import FakeTriton, response, serving
from support.running_gateway import gateway, picture
from tritonclient.grpc import service_pb2

TAGS = annotator_pb2.AnnotateRequest(image=picture(), tags=tags_pb2.TagsOptions())
PICTURES = 48


async def pictures() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
    for _ in range(PICTURES):
        yield annotator_pb2.AnnotateStreamRequest(request=TAGS)


class Tagger:
    """Answers interactive inferences at once, and bulk ones when it is told to, or once `crowd` of them are here."""

    def __init__(self, crowd: int = 1000) -> None:
        self.here = 0
        self.goes_on = asyncio.Event()
        self._crowd = crowd

    async def __call__(self, request: service_pb2.ModelInferRequest, context: object) -> service_pb2.ModelInferResponse:
        if request.parameters["priority"].uint64_param == Lane.BULK:
            self.here += 1
            if self.here >= self._crowd:
                self.goes_on.set()
            await self.goes_on.wait()
            self.here -= 1
        return response(scores=np.full((1, 1000), 0.001, np.float32))


async def test_few_while_interactive_calls_come(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> None:
    fake.behaviours["tagger"] = tagger = Tagger()
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, stream_in_flight=16) as running:
        await running.until(ready=True)
        await running.stub.Annotate(TAGS)
        call = running.stub.AnnotateStream(pictures())
        async with asyncio.timeout(60):
            # Sixteen pictures are under way; of a model that runs one row at a time, three at most are in Triton.
            while await running.metric('imagier_bulk_waiting_inferences{model="tagger"}') < 13:
                pass
            assert 1 <= tagger.here <= 3
            tagger.goes_on.set()
            answers = [answer async for answer in call]
    assert [answer.WhichOneof("outcome") for answer in answers] == ["response"] * PICTURES


@pytest.mark.parametrize(("interactive", "options"), [(False, {}), (True, {"bulk_ahead": 0.0})])
async def test_many_without_them_or_without_the_bound(
    repository: Path, fake: FakeTriton, unused_tcp_port: int, interactive: bool, options: dict[str, float]
) -> None:
    fake.behaviours["tagger"] = Tagger(crowd=12)
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, **options) as running:
        await running.until(ready=True)
        if interactive:
            await running.stub.Annotate(TAGS)
        async with asyncio.timeout(60):
            answers = [answer async for answer in running.stub.AnnotateStream(pictures())]
    assert len(answers) == PICTURES
