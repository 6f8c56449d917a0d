# SPDX-License-Identifier: Apache-2.0
"""Tries of one operation: a retry waits for the answer of the try that still runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b, sha256

from imagier_server.call import CallContext, Lane
from imagier_server.errors import Full, OverloadedError
from imagier_server.messages import AnnotateRequest, Annotation

_ASIDE_BYTES = 1 << 18  # a longer picture file is hashed in a thread
_MOST_TRIES = 4
"""Of one operation, that wait. They take no capacity of admission, and each holds its picture: they need a bound of their own."""
_MOST_BYTES = 64 << 20
"""Of picture files that wait, in all; a larger one waits alone."""


async def operation(request: AnnotateRequest, call: CallContext, threads: Executor) -> str:
    """The name of the operation that this call is a try of; "" without an idempotency key.

    Another picture, or another question, under the same key is another operation. The name is a hash under the idempotency key,
    which is kept nowhere: whoever reads the name cannot test which picture it stands for.
    """
    if not call.idempotency_key:
        return ""
    if len(request.image) < _ASIDE_BYTES:
        return _name(request, call)
    return await asyncio.get_running_loop().run_in_executor(threads, _name, request, call)


def named(call: CallContext, question: object, content: bytes = b"") -> str:
    """The name of a call with an idempotency key: of who asks, what for, and of what. "" without such a key."""
    if not call.idempotency_key:
        return ""
    who = call.identity and (call.identity.tenant, sorted(call.identity.scopes))
    name = blake2b(key=sha256(call.idempotency_key.encode()).digest(), digest_size=16)
    name.update(repr((who, question)).encode())
    name.update(content)
    return name.hexdigest()


def _name(request: AnnotateRequest, call: CallContext) -> str:
    # A stream has one key for all its pictures, which may be the same picture.
    which = request.request_id if call.lane is Lane.BULK else ""
    return named(call, (which, request.languages, sorted(request.tasks.items()), request.nonce), request.image)


class Repeats:
    """The operations in flight on one server."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Future[Annotation]] = {}
        self._waiting: Counter[str] = Counter()
        self._bytes = 0

    async def once(
        self, request: AnnotateRequest, name: str, work: Callable[[], Awaitable[Annotation]], joined: Callable[[], None]
    ) -> Annotation:
        """Return the answer of `work`, or of the try that runs already; then `joined` is called.

        If that try fails or is given up by its caller, this one works itself. Raises `OverloadedError` if too many wait.
        """
        while (running := self._running.get(name)) is not None:
            with self._place(name, request.size):
                await asyncio.wait([running])
            if not running.cancelled():
                joined()
                return replace(running.result(), request_id=request.request_id)
        running = self._running[name] = asyncio.get_running_loop().create_future()
        try:
            answer = await work()
        except BaseException:
            running.cancel()
            raise
        else:
            running.set_result(answer)
            return answer
        finally:
            del self._running[name]

    @contextmanager
    def _place(self, name: str, size: int) -> Iterator[None]:
        if self._waiting[name] >= _MOST_TRIES or (self._bytes and self._bytes + size > _MOST_BYTES):
            raise OverloadedError("too many tries wait for the answer of one that runs: retry later", Full.CALLER)
        self._waiting[name] += 1
        self._bytes += size
        try:
            yield
        finally:
            self._bytes -= size
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name]
