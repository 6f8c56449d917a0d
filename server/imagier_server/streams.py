# SPDX-License-Identifier: Apache-2.0
"""Streams of pictures, with flow control by admission and by the reader of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from imagier_server.admission.draining import Draining
from imagier_server.call import CallContext
from imagier_server.errors import ImagierError
from imagier_server.messages import AnnotateRequest, Annotation
from imagier_server.pipeline import Pipeline

Answer = Callable[[str, Annotation | ImagierError], Awaitable[None]]
"""Writes the answer to the request with an id."""


@dataclass(frozen=True, slots=True)
class Streams:
    """The streams of one server, each with at most `in_flight` unanswered pictures."""

    pipeline: Pipeline
    draining: Draining
    in_flight: int

    async def annotate(self, requests: AsyncIterator[AnnotateRequest], answer: Answer, call: CallContext) -> None:
        """Annotate a stream's pictures, each answered once, in order of completion; a fault is that picture's answer.

        A request is read only with capacity for it, and the next one only after an answer has been written: a slow reader
        slows the writer. Raises `DrainingError` at shutdown, and the error of a request that could not be read, both after the
        answers to all requests read before; the caller resends the others.
        """
        window = asyncio.Semaphore(self.in_flight)
        refused: ImagierError | None = None

        async def one(request: AnnotateRequest, taken: asyncio.Future[None]) -> None:
            try:
                outcome: Annotation | ImagierError = await self.pipeline.annotate(
                    request, call, admitted=lambda: taken.set_result(None)
                )
            except ImagierError as error:
                outcome = error.without_traceback()
                if not taken.done():
                    if error.retry_after is not None:
                        taken.set_exception(error)
                        return
                    taken.set_result(None)  # it is answered without admission
            await answer(request.request_id, outcome)
            window.release()

        with self.draining.under_way():
            async with asyncio.TaskGroup() as group:
                try:
                    async with self.draining.interruptible():
                        await window.acquire()
                        async for request in requests:
                            taken = asyncio.get_running_loop().create_future()
                            group.create_task(one(request, taken))
                            del request
                            await asyncio.shield(taken)  # its task writes to it, even if nobody waits
                            await window.acquire()
                except ImagierError as error:
                    refused = error.without_traceback()
            if refused:
                raise refused
