# SPDX-License-Identifier: Apache-2.0
"""A caller that speaks just enough HTTP/2 to do what no gRPC library does: begin a message and never finish it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CANCEL = 8
FRAME = 16_384
FIRST_WINDOW = 65_535


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def literal(name: str, value: str) -> bytes:
    """A header field without Huffman coding and without the table."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


class Connection:
    """One connection; `closed` holds the streams that the server has ended."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._windows: dict[int, int] = {0: FIRST_WINDOW}
        self._opened = asyncio.Event()
        self.closed: dict[int, bytes] = {}
        self.gone = False
        self.pings = 0
        self.taken = 0
        """Bytes of answers; the server is never allowed more than the first window."""
        writer.write(PREFACE + frame(SETTINGS, 0, 0))

    async def read(self) -> None:
        """Takes what the server says, until it hangs up."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3]))
                kind, flags, stream = head[3], head[4], int.from_bytes(head[5:])
                if kind == WINDOW_UPDATE and stream in self._windows:
                    self._windows[stream] += int.from_bytes(payload)
                elif kind == SETTINGS and not flags & ACK:
                    self._writer.write(frame(SETTINGS, ACK, 0))
                elif kind == DATA:
                    self.taken += len(payload)
                elif kind == PING:
                    self.pings += 1
                    if not flags & ACK:
                        self._writer.write(frame(PING, ACK, 0, payload))
                elif kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM):
                    self.closed.setdefault(stream, payload)
                elif kind == GOAWAY:
                    break
                self._opened.set()
        self.gone = True
        self._opened.set()

    def call(self, stream: int, method: str, content_type: str = "application/grpc") -> None:
        fields = {":method": "POST", ":scheme": "http", ":path": method, ":authority": "x"}
        fields |= {"content-type": content_type, "te": "trailers"}
        self._windows[stream] = FIRST_WINDOW
        self._writer.write(frame(HEADERS, END_HEADERS, stream, b"".join(literal(*field) for field in fields.items())))

    async def upload(self, stream: int, claimed: int, size: int) -> int:
        """Announces a message of `claimed` bytes and sends `size`, zeros all, or as many as the server takes; returns how many."""
        sent, head = 0, struct.pack("!BI", 0, claimed)
        while sent < size and stream not in self.closed and not self.gone:
            room = min(FRAME, size - sent, self._windows[stream], self._windows[0])
            if room <= len(head):
                self._opened.clear()
                await self._opened.wait()
                continue
            self._writer.write(frame(DATA, 0, stream, head + bytes(room - len(head))))
            head = b""
            self._windows[stream] -= room
            self._windows[0] -= room
            sent += room
            with suppress(ConnectionError):
                await self._writer.drain()
        return sent

    async def send(self, stream: int, message: bytes) -> None:
        """A whole message of less than 64 KiB, and no more to come."""
        data = struct.pack("!BI", 0, len(message)) + message
        for place in range(0, len(data), FRAME):
            piece = data[place : place + FRAME]
            end = END_STREAM if place + FRAME >= len(data) else 0
            self._writer.write(frame(DATA, end, stream, piece))
        await self._writer.drain()

    async def cancel(self, stream: int) -> None:
        self._writer.write(frame(RST_STREAM, 0, stream, struct.pack("!I", CANCEL)))
        await self._writer.drain()

    async def received(self, size: int) -> None:
        while self.taken < size and not self.gone:
            await self.progress()

    async def progress(self) -> None:
        """Until the server says something."""
        self._opened.clear()
        await self._opened.wait()

    async def ping(self) -> None:
        self._writer.write(frame(PING, 0, 0, bytes(8)))
        await self._writer.drain()

    async def ended(self, stream: int) -> None:
        while stream not in self.closed and not self.gone:
            await self.progress()


@asynccontextmanager
async def connected(port: int, source: str = "127.0.0.1") -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    connection = Connection(reader, writer)
    reading = asyncio.create_task(connection.read())
    try:
        yield connection
    finally:
        reading.cancel()
        writer.transport.abort()
