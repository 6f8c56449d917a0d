# SPDX-License-Identifier: Apache-2.0
"""Serves /metrics over HTTP in a thread of its own, so that a busy server can still be scraped."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from imagier_server.endpoints import owner_and_group

MAX_CONNECTIONS = 16
"""Connections; beyond it the oldest is closed. A scrape takes milliseconds."""
SECONDS = 5.0
"""Time limit of one connection, in seconds."""
_HEAD_BYTES = 8192


class _Exposition:
    """Handles one request per connection."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._open: dict[asyncio.StreamWriter, None] = {}  # in order of age

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close the connection."""
        self._open[writer] = None
        if len(self._open) > MAX_CONNECTIONS:
            next(iter(self._open)).transport.abort()
        try:
            async with asyncio.timeout(SECONDS):
                writer.write(self._answer(await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            del self._open[writer]
            writer.transport.abort()

    def _answer(self, head: bytes) -> bytes:
        request, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, _, rest = request.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        kind, body, status = "text/plain; charset=utf-8", b"", HTTPStatus.OK
        if method not in {"GET", "HEAD"}:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        elif path not in {"/", "/metrics"}:
            status = HTTPStatus.NOT_FOUND
        else:
            encode, kind = choose_encoder(fields.get("accept", ""))
            body = encode(self._registry)
        answer = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        return "\r\n".join([*answer, "", ""]).encode("latin-1") + (b"" if method == "HEAD" else body)


@contextmanager
def exposed(registry: CollectorRegistry, sockets: Sequence[socket.socket], path: str | None = None) -> Iterator[None]:
    """Serve on bound sockets, or on a Unix socket at a path. Raises OSError."""
    serving, stop = threading.Event(), asyncio.Event()
    failure: list[OSError] = []
    loop = asyncio.new_event_loop()

    async def run() -> None:
        answer = _Exposition(registry).serve
        if path is None:
            servers = [
                await asyncio.start_server(answer, sock=each, limit=_HEAD_BYTES, backlog=MAX_CONNECTIONS)
                for each in sockets
            ]
        else:
            with owner_and_group():
                servers = [await asyncio.start_unix_server(answer, path, limit=_HEAD_BYTES, backlog=MAX_CONNECTIONS)]
        serving.set()
        await stop.wait()
        for server in servers:
            server.close()

    def thread() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(run())
        except OSError as error:
            failure.append(error)
        finally:
            serving.set()

    running = threading.Thread(target=thread, name="metrics", daemon=True)
    running.start()
    serving.wait()
    if failure:
        raise failure[0]
    try:
        yield
    finally:
        with suppress(RuntimeError):  # already closed
            loop.call_soon_threadsafe(stop.set)
        running.join()
