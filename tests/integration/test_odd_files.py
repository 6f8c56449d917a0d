# SPDX-License-Identifier: Apache-2.0
"""The odd files through a real decoder process and through the whole gateway: the right pixels, or a refusal that says why."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from functools import cache

import numpy as np
import pytest
from imagier.v1 import annotator_pb2
from imagier_server.decode.formats import sniff
from imagier_server.decode.process import DecoderProcess
from imagier_server.decode.refusals import Caps
from imagier_server.errors import Code, InvalidImageError
from support import odd_files
from support.odd_case import Case
from support.running_gateway import Gateway, details, tags_and_text


@cache
def cases() -> dict[str, Case]:
    return {case.name: case for case in odd_files.cases()}


@pytest.fixture(scope="module")
def decoder() -> Iterator[DecoderProcess]:
    """One for all: none of these files may cost it its life."""
    running = DecoderProcess(Caps(100_000_000, 30_000), 2 << 30)
    yield running
    assert running.alive
    running.stop()


def test_there_are_many_and_no_two_alike() -> None:
    assert len(cases()) == len(odd_files.cases()) >= 300


@pytest.mark.parametrize("name", cases())
def test_the_right_answer(decoder: DecoderProcess, name: str) -> None:
    case = cases()[name]
    if case.reason:
        with pytest.raises(InvalidImageError) as refused:
            decoder.decode(case.image, sniff(case.image), lambda *_: 1.0, 20.0)
        error = refused.value
        assert (error.code, error.field, error.reason, error.retry_after) == (Code.INVALID, "image", case.reason, None)
        assert re.search(case.says, error.text), error.text
        return
    found = decoder.decode(case.image, sniff(case.image), lambda *_: 1.0, 20.0)
    assert (found.width, found.height) == case.size
    height, width = found.pixels.shape[:2]
    middles = [found.pixels[y, x] for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    assert np.abs(np.asarray(middles, int) - np.asarray(case.colours, int)).max() <= case.tolerance


async def test_the_same_answers_from_a_gateway(running: Gateway) -> None:
    """Over one stream: never INTERNAL, never UNKNOWN, and each decoder as it was."""

    async def requests() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
        for number, case in enumerate(cases().values()):
            yield annotator_pb2.AnnotateStreamRequest(request=tags_and_text(case.image, str(number)))

    wrong, answered = {}, 0
    async for answer in running.stub.AnnotateStream(requests()):
        case = list(cases().values())[int(answer.request_id)]
        answered += 1
        if answer.HasField("error"):
            found = details(answer.error)
            said = (found["ErrorInfo"].reason, found["BadRequest"].field_violations[0].field, "RetryInfo" in found)
            right = said == (case.reason, "image", False)
        else:
            response = answer.response
            said = (response.width, response.height, response.tags.status.code, response.ocr.status.code)
            right = not case.reason and said == (*case.size, 0, 0)
        if not right:
            wrong[case.name] = said
    assert wrong == {}
    assert answered == len(cases())
    assert await running.metric("imagier_decoder_restarts_total") == 0
