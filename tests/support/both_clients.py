# SPDX-License-Identifier: Apache-2.0
"""Both clients in one shape, so that each test is asked of both. Waits of single calls are recorded, not waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Self

import grpc
from imagier_client import (
    AsyncClient,
    Client,
    RetryPolicy,
    Waiting,
)

from support.scripted_annotator import (
    Response,
    refuse,
    reply,
    status,
)

NOBODY = "127.0.0.1:1"


NEVER = iter(())


DRAINING = status(grpc.StatusCode.UNAVAILABLE, "DRAINING", retry_after=60.0)


AWAY = status(grpc.StatusCode.UNAVAILABLE, "ENGINE_UNAVAILABLE", retry_after=0.02)


QUICK = RetryPolicy(initial_backoff=0.01, max_backoff=0.05)


class Blocking:
    """The blocking client in the shape of the other one, so that each test is asked of both."""

    def __init__(self, target: str, **options: Any) -> None:
        self.stalls: list[Waiting] = []
        self.client = Client(target, **{"on_wait": self.stalls.append, **options})
        self.waits: list[float] = []
        self.client._sleep = self.waits.append

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.client.close()

    async def many(self, images: Iterable[Any], *asked: Any, **options: Any) -> list[Any]:
        return await asyncio.to_thread(lambda: list(self.client.annotate_many(images, *asked, **options)))

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        return lambda *args, **options: asyncio.to_thread(getattr(self.client, name), *args, **options)


class Asynchronous(AsyncClient):
    """The asyncio client, with its waits recorded."""

    def __init__(self, target: str, **options: Any) -> None:
        self.stalls: list[Waiting] = []
        super().__init__(target, **{"on_wait": self.stalls.append, **options})
        self.waits: list[float] = []

        async def wait(seconds: float) -> None:
            self.waits.append(seconds)

        self._sleep = wait

    async def many(self, images: Iterable[Any], *asked: Any, **options: Any) -> list[Any]:
        return [item async for item in self.annotate_many(images, *asked, **options)]


Kind = type[Blocking] | type[Asynchronous]


def refusing(*refusals: Any, pushback: str | None = None) -> Callable[[Any, Any], Awaitable[Response]]:
    """Refuses one call after the other, then answers."""
    left = list(refusals)

    async def annotate(request: Any, context: Any) -> Response:
        if left:
            await refuse(context, left.pop(0), pushback)
        return reply(request)

    return annotate
