# SPDX-License-Identifier: Apache-2.0
"""Tells billing systems what was charged, as CloudEvents: one for each task of a picture, with nothing of the picture."""

from __future__ import annotations

import asyncio
import logging
import os
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from uuid import uuid4

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from imagier_server.admission.admission import Receipt, Work
from imagier_server.call import CallContext
from imagier_server.logs import log
from imagier_server.metrics import Metrics

TYPE = "imagier.task.charged"
SOURCE = "imagier"
"""The same for all gateways: systems that drop repeated events compare id and source."""
MAX_WAITING = 10_000
_BATCH = 100
_LONGEST_WAIT = 60.0
_SEND_SECONDS = 10.0
_GOODBYE_SECONDS = 5.0

Sink = Callable[[Sequence[bytes]], None]
"""Sends events, each in JSON. Blocks; raises OSError."""


class RefusedError(Exception):
    """The receiver will never take these events."""


class UsageEvents:
    """Events on their way to `sink`: at most `MAX_WAITING`, in order, each tried until it is taken. Further ones are dropped."""

    def __init__(self, sink: Sink, metrics: Metrics, first_wait: float = 1.0) -> None:
        self._sink = sink
        self._first_wait = first_wait
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)
        self._counted = metrics.usage_events
        self._unsent = 0
        metrics.usage_events_waiting.set_function(lambda: self._unsent)

    @asynccontextmanager
    async def stage(self, work: Work, call: CallContext, receipt: Receipt) -> AsyncIterator[None]:
        """The stage of admission that makes the events."""
        del work
        yield
        operation = call.operation or uuid4().hex
        for task in receipt.succeeded:
            try:
                self._waiting.put_nowait(_event(operation, task, receipt.outcomes[task].cost, call))
                self._unsent += 1
            except asyncio.QueueFull:
                self._counted.labels("dropped").inc()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send during the block, and for a few seconds more what is left at its end."""
        sending = asyncio.create_task(self._send())
        try:
            yield
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    await self._waiting.join()
            sending.cancel()
            if self._unsent:
                log(logging.ERROR, "usage events lost", count=self._unsent)

    async def _send(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < _BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            outcome = await self._sent(batch)
            self._counted.labels(outcome).inc(len(batch))
            self._unsent -= len(batch)
            for _ in batch:
                self._waiting.task_done()

    async def _sent(self, batch: Sequence[bytes]) -> str:
        wait = self._first_wait
        while True:
            try:
                await asyncio.to_thread(self._sink, batch)
            except RefusedError as error:
                log(logging.ERROR, "usage events refused", reason=str(error), count=len(batch))
                return "dropped"
            except OSError as error:
                if wait == self._first_wait:  # once an outage
                    log(logging.WARNING, "usage events wait", reason=type(error).__name__)
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
            else:
                return "sent"


def _event(operation: str, task: str, credits: int, call: CallContext) -> bytes:  # noqa: A002 - the contract's word
    attributes = {
        # As in the ledger: a retry has the same event for a task that is free now, another one for a task that had failed.
        "id": f"{operation}-{task}",
        "source": SOURCE,
        "type": TYPE,
        "specversion": "1.0",
        "subject": call.identity.tenant if call.identity else "anybody",
        "time": datetime.now(UTC),
        "datacontenttype": "application/json",
    }
    data = {
        "task": task,
        "credits": credits,
        "keyId": call.identity.key_id if call.identity else "",
        "lane": call.lane.label,
        "transport": call.transport.value,
    }
    return JSONFormat().write(CloudEvent(attributes, data))


def to_file(path: Path) -> Sink:
    """Appends a line for each event, readable by its owner and group."""

    def send(events: Sequence[bytes]) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        with os.fdopen(descriptor, "ab") as file:
            start = file.tell()
            try:
                file.write(b"".join(event + b"\n" for event in events))
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                # A full disk: no half lines, and none twice when they are tried again.
                with suppress(OSError):
                    os.ftruncate(descriptor, start)
                raise

    return send


def to_url(url: str, token: Path | None) -> Sink:
    """Posts batches (application/cloudevents-batch+json). `token` is a file with a bearer token, read each time."""
    opener = urllib.request.build_opener(_NoRedirects)

    def send(events: Sequence[bytes]) -> None:
        headers = {"content-type": "application/cloudevents-batch+json"}
        if token:
            headers["authorization"] = f"Bearer {token.read_text('utf-8').strip()}"
        request = urllib.request.Request(url, b"[" + b",".join(events) + b"]", headers, method="POST")  # noqa: S310 - the settings allow http and https only
        try:
            opener.open(request, timeout=_SEND_SECONDS).close()
        except HTTPError as error:
            again = error.code in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
            if not again and error.code < HTTPStatus.INTERNAL_SERVER_ERROR and not _about_the_token(error):
                raise RefusedError(f"status {error.code}") from None
            raise

    return send


def _about_the_token(error: HTTPError) -> bool:
    """A token that is put right makes the same events welcome."""
    return error.code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Usage goes where the operator says, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None
