# SPDX-License-Identifier: Apache-2.0
"""Tries of one operation: a retry waits for the answer of the try that still runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import replace
from hashlib import blake2b, sha256

from imagier_server.call import CallContext, Lane
from imagier_server.messages import AnnotateRequest, Annotation

_ASIDE_BYTES = 1 << 18  # a longer picture file is hashed in a thread


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


def _name(request: AnnotateRequest, call: CallContext) -> str:
    who = call.identity and (call.identity.tenant, sorted(call.identity.scopes))
    # A stream has one key for all its pictures, which may be the same picture.
    which = request.request_id if call.lane is Lane.BULK else ""
    name = blake2b(key=sha256(call.idempotency_key.encode()).digest(), digest_size=16)
    name.update(repr((who, which, request.languages, sorted(request.tasks.items()), request.nonce)).encode())
    name.update(request.image)
    return name.hexdigest()


class Repeats:
    """The operations in flight on one server."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Future[Annotation]] = {}

    async def once(
        self, request: AnnotateRequest, name: str, work: Callable[[], Awaitable[Annotation]], joined: Callable[[], None]
    ) -> Annotation:
        """Return the answer of `work`, or of the try that runs already; then `joined` is called.

        If that try fails or is given up by its caller, this one works itself.
        """
        while (running := self._running.get(name)) is not None:
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
