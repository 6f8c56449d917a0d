# SPDX-License-Identifier: Apache-2.0
"""The end of annotate_many where the caller's pictures come in; the other end is proved before a real gRPC server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from imagier_client.aio_stream import Source, first
from imagier_client.codec import encode_request
from imagier_client.errors import UnreadableFileError
from imagier_client.messages import Limits
from imagier_client.reading import Image
from imagier_client.retry import RetryPolicy
from imagier_client.tasks.tags import Tags
from imagier_client.window import Window

ANY = Limits(0, 0, 0, 0, 0)
Pairs = Iterable[tuple[str, Image]] | AsyncIterator[tuple[str, Image]]


def source(images: Pairs) -> Source[str]:
    return Source(images, ANY, lambda _key, content: encode_request(content, [Tags()]))


def window(size: int = 2) -> Window[str]:
    return Window(size, RetryPolicy(), ())


async def asynchronous() -> AsyncIterator[tuple[str, Image]]:
    yield "a", b"1"
    yield "b", b"2"


@pytest.mark.parametrize("images", [[("a", b"1"), ("b", b"2")], {"a": b"1", "b": b"2"}.items(), asynchronous()])
async def test_one_picture_after_the_other_comes_in_until_the_window_is_full(images: Pairs) -> None:
    s, w = source(images), window()
    for count in (1, 2):
        s.move(w)
        await first(s.tasks, None)
        assert s.take(w) is None
        assert w.unanswered == count
    s.move(w)
    assert s.tasks == set()
    assert not s.exhausted
    await s.close()


async def test_what_cannot_be_read_is_its_own_answer(tmp_path: Path) -> None:
    s, w = source([("a", tmp_path / "missing")]), window()
    s.move(w)
    await first(s.tasks, None)
    answer = s.take(w)
    assert answer is not None
    assert isinstance(answer[1], UnreadableFileError)
    assert w.unanswered == 0
    s.move(w)
    await first(s.tasks, None)
    assert s.take(w) is None
    assert s.exhausted


async def test_closing_ends_a_source_that_waits() -> None:
    ended = False

    async def endless() -> AsyncIterator[tuple[str, Image]]:
        nonlocal ended
        try:
            await asyncio.Event().wait()
            yield "a", b"1"
        finally:
            ended = True

    s = source(endless())
    s.move(window())
    assert not await first(s.tasks, 0.01)
    await s.close()
    assert ended
