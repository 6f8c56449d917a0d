# SPDX-License-Identifier: Apache-2.0
"""A request byte for byte, and its answer."""

from __future__ import annotations

import asyncio


async def exchanged(host: str, request: bytes) -> tuple[int, bytes]:
    """The status and the body of the answer that a server at HOST:PORT gives."""
    address, _, port = host.rpartition(":")
    reader, writer = await asyncio.open_connection(address, int(port))
    try:
        writer.write(request)
        await writer.drain()
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
        return int(lines[0].split(" ")[1]), await reader.readexactly(length)
    finally:
        writer.close()
