# SPDX-License-Identifier: Apache-2.0
"""Ten thousand pictures on one stream, every tenth broken: each is answered once, and a broken one costs the others nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from imagier.v1 import annotator_pb2, tags_pb2
from support import made_pictures as made
from support.fake_triton import serving
from support.running_gateway import details, gateway
from support.scripted_models import scripted_triton, write_repository

PICTURES = 10_000


async def requests() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
    tiny = [made.encoded(made.quadrants(8, 8), fmt) for fmt in ("JPEG", "PNG", "GIF", "WEBP")]
    broken = [b"", b"no picture", tiny[0][:100], tiny[1][:40], made.png((2**31 - 1, 1), b"")]
    for number in range(PICTURES):
        image = broken[number // 10 % len(broken)] if number % 10 == 0 else tiny[number % len(tiny)]
        request = annotator_pb2.AnnotateRequest(image=image, request_id=str(number), tags=tags_pb2.TagsOptions())
        yield annotator_pb2.AnnotateStreamRequest(request=request)


async def test_ten_thousand_every_tenth_broken(tmp_path: Path, unused_tcp_port: int) -> None:
    repository = write_repository(tmp_path)
    async with serving(scripted_triton()) as port, gateway(repository, port, unused_tcp_port) as running:
        await running.until(ready=True)
        answered: dict[int, bool] = {}
        async for answer in running.stub.AnnotateStream(requests()):
            number = int(answer.request_id)
            assert number not in answered
            answered[number] = answer.HasField("response")
            if answered[number]:
                assert answer.response.tags.tags[0].names["en"] == "cat"
            else:
                assert details(answer.error)["BadRequest"].field_violations[0].field == "image"
        assert answered == {number: number % 10 != 0 for number in range(PICTURES)}
        assert await running.metric("imagier_in_flight_pictures") == 0
        assert await running.metric("imagier_decoder_restarts_total") == 0
