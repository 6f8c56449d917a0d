# SPDX-License-Identifier: Apache-2.0
"""Callers from other addresses of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def through(source: str, port: int) -> AsyncIterator[int]:
    """A port that leads to that one, and whose callers come from the address `source`."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):
            inner, outer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            await asyncio.gather(copy(reader, outer), copy(inner, writer))

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
