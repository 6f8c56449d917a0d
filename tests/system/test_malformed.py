# SPDX-License-Identifier: Apache-2.0
"""Ten thousand malformed requests, endless and slow ones: none is a fault of ours, and no good one beside them is lost."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx2 as httpx
from support.fake_triton import serving
from support.malformed_requests import GOOD, PICTURE, malformed, request
from support.scripted_models import scripted_triton, write_repository
from support.served_gateway import served

REQUESTS = 10_000
AT_ONCE = 16
MIB = 1 << 20
OURS = {500, 502, 505, 507}


class Attack:
    """Sends requests from one address, each on a connection of its own, and counts the statuses."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.statuses: Counter[int] = Counter()
        self.faults: list[bytes] = []

    async def send(self, content: bytes, pieces: Iterable[bytes] = ()) -> int:
        """The status; 0 if the connection was closed without an answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        status = 0
        with suppress(ConnectionError):
            writer.write(content)
            for piece in pieces:
                await writer.drain()
                writer.write(piece)
            if content.endswith(b"\r\n") or len(content) < 40:
                writer.write_eof()  # it may be the beginning of a request
            line = await reader.readline()
            status = int(line.split()[1]) if line else 0
        writer.transport.abort()
        self.statuses[status] += 1
        if status in OURS:
            self.faults.append(content[:400])
        return status

    async def all(self, requests: Iterator[bytes]) -> None:
        async def some() -> None:
            for each in requests:
                await self.send(each)

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def good(http: str, over: asyncio.Event) -> Counter[int]:
    """Good requests from another address until it is over."""
    found: Counter[int] = Counter()
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(base_url=f"http://{http}", transport=transport, timeout=60) as client:
        while not over.is_set():
            answer = await client.post("/v1/annotate?tasks=tags", content=PICTURE)
            found[answer.status_code] += 1
    return found


def endless() -> Iterator[bytes]:
    chunk = b"100000\r\n" + bytes(MIB) + b"\r\n"
    return (chunk for _ in range(200))


async def test_ten_thousand(tmp_path: Path) -> None:
    repository, log = write_repository(tmp_path), tmp_path / "log"
    flags = ["--receive-seconds", "3", "--max-image-bytes", str(8 * MIB), "--receive-bytes", str(32 * MIB)]
    head = b"POST /v1/annotate?tasks=tags HTTP/1.1\r\nHost: x\r\n"
    async with (
        serving(scripted_triton()) as engine,
        served(repository, engine, log, flags) as server,
    ):
        attack = Attack(int(server.http.rpartition(":")[2]))
        for path, value in GOOD.items():  # they are good before they are broken
            status = await attack.send(request(path.encode(), b"application/json", json.dumps(value).encode()))
            assert status in {200, 404, 501}, path  # no ledger and no vectors here
        before = server.memory()
        attack.statuses.clear()
        over = asyncio.Event()
        beside = asyncio.create_task(good(server.http, over))
        async with asyncio.timeout(300):
            slow = [asyncio.create_task(attack.send(head + b"Content-Length: 1000\r\n\r\nsome")) for _ in range(20)]
            large = [
                asyncio.create_task(attack.send(head + b"Transfer-Encoding: chunked\r\n\r\n", endless()))
                for _ in range(4)
            ]
            await attack.all(malformed(REQUESTS))
            assert set(await asyncio.gather(*large)) <= {413, 429, 0}
            assert set(await asyncio.gather(*slow)) <= {504, 429}
        over.set()
        answered = await beside
        print(dict(attack.statuses), dict(answered), (server.memory("VmHWM") - before) // MIB, "MiB")
        assert server.memory("VmHWM") - before < 160 * MIB
    assert attack.faults == []
    assert sum(attack.statuses.values()) == REQUESTS + 24
    assert attack.statuses[400] > REQUESTS / 3
    assert set(answered) == {200}
    assert answered[200] > 20
    text = log.read_text("utf-8")
    assert "request failed" not in text
    assert "Traceback" not in text
    assert '"error"' not in text
