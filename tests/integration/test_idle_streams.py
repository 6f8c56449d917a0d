# SPDX-License-Identifier: Apache-2.0
"""A stream that waits for its next picture is left alone, whatever else arrives."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, tags_pb2
from PIL import Image
from support.fake_triton import FakeTriton, serving
from support.served_gateway import served

BURSTS, AT_ONCE, WINDOW = 6, 10, 16


def large(pixels: int = 1000) -> annotator_pb2.AnnotateRequest:
    """Of 3 MB that do not compress, and are quick to decode."""
    file = io.BytesIO()
    Image.frombytes("RGB", (pixels, pixels), random.Random(1).randbytes(3 * pixels * pixels)).save(
        file, "PNG", compress_level=0
    )
    return annotator_pb2.AnnotateRequest(image=file.getvalue(), tags=tags_pb2.TagsOptions())


async def test_idle_streams_outlive_many_pictures_and_answer_afterwards(
    repository: Path, fake: FakeTriton, tmp_path: Path
) -> None:
    request, go_on = large(), asyncio.Event()

    async def pictures() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
        yield annotator_pb2.AnnotateStreamRequest(request=request)
        await go_on.wait()
        for _ in range(WINDOW):
            yield annotator_pb2.AnnotateStreamRequest(request=request)

    async with (
        serving(fake) as port,
        served(repository, port, tmp_path / "log") as process,
        grpc.aio.insecure_channel(process.address) as channel,
        grpc.aio.insecure_channel(process.address, [("grpc.use_local_subchannel_pool", 1)]) as own_channel,
        asyncio.timeout(300),
    ):
        stubs = [annotator_pb2_grpc.AnnotatorServiceStub(each) for each in (channel, own_channel)]
        streams = [
            aiter(stub.AnnotateStream(pictures())) for stub in stubs
        ]  # beside the others, and on a connection alone
        for stream in streams:
            assert (await anext(stream)).response.tags.status.code == 0
        for _ in range(BURSTS):
            answers = await asyncio.gather(*(stubs[0].Annotate(request, timeout=60) for _ in range(AT_ONCE)))
            assert {answer.tags.status.code for answer in answers} == {0}
        go_on.set()
        for stream in streams:
            assert [answer.response.tags.status.code async for answer in stream] == [0] * WINDOW
