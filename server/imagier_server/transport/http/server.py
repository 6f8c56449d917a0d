# SPDX-License-Identifier: Apache-2.0
"""Runs the ASGI app on uvicorn as a task of the gateway's event loop."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from imagier_server.transport.http import connections

KEEP_ALIVE_SECONDS = 75
"""Seconds for which an idle connection stays open."""
HEAD_BYTES = 32 * 1024
"""Maximum size of a request line and its headers."""
_GOODBYE_SECONDS = 1  # for sending the last answers


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen as uvicorn does on given sockets, which gives a TLS handshake a minute."""
        config, loop = self.config, asyncio.get_running_loop()

        def connection() -> asyncio.Protocol:
            made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state, _loop=loop
            )
            return made

        limit = connections.HEAD_SECONDS if config.ssl else None
        self.servers = [
            await loop.create_server(
                connection, sock=each, ssl=config.ssl, ssl_handshake_timeout=limit, backlog=config.backlog
            )
            for each in sockets or ()
        ]
        self.started = True
        self.listens.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the gateway's."""
        yield


@asynccontextmanager
async def listening(
    app: ASGIApp, sockets: Sequence[socket.socket], most_connections: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Serve on bound sockets until the block ends. Then nothing new is accepted, and answers being sent are finished."""
    # A malformed request is the caller's, and the app logs its own errors; the parser of forms quotes bytes.
    for name in ("uvicorn.error", "python_multipart"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    protocol = type("Connection", (connections.BoundedConnection,), {"limit": most_connections})
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
        h11_max_incomplete_event_size=HEAD_BYTES,
        ssl_context_factory=(lambda _config, _default: tls) if tls else None,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(list(sockets)))
    up = asyncio.create_task(server.listens.wait())
    await asyncio.wait({serving, up}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        up.cancel()
        serving.result()
    try:
        yield
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await serving
