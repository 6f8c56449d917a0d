# SPDX-License-Identifier: Apache-2.0
"""The promise: what a caller sends, and what was read, is nowhere afterwards, through every door and every failure."""

from __future__ import annotations

import asyncio
import os
import socket
import urllib.error
import urllib.request
from contextlib import AsyncExitStack, closing
from pathlib import Path

import grpc
from imagier.v1 import annotator_pb2_grpc
from imagier_server.ledger import keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish
from support.canaries import changed, files, holders
from support.canary_http import HTTP_VISITS
from support.canary_immich import immich, native
from support.canary_programs import programs
from support.canary_vectors import VECTOR_VISITS
from support.canary_visits import QUOTA, VISITS, WORDS, Visit
from support.collector import Collector, collecting
from support.fake_triton import FakeTriton, serving
from support.receipts import signing_key
from support.served_gateway import served


async def test_nothing_of_a_caller_stays(repository: Path, fake: FakeTriton, tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "tmp").mkdir(parents=True)
    folders = (own, Path("/dev/shm"))
    before = files(folders)
    behaviours, metrics_port, http_port = dict(fake.behaviours), _free_port(), _free_port()
    secret = _key(own / "ledger.db")
    words = WORDS | {"key": secret.rpartition("_")[2]}
    async with AsyncExitStack() as stack:
        collector, traces = await stack.enter_async_context(collecting())
        engine = await stack.enter_async_context(AsyncExitStack())
        port = await engine.enter_async_context(serving(fake))
        flags = {
            "log-level": "debug",
            "traces": f"127.0.0.1:{traces}",
            "receipt-key": str(signing_key(tmp_path)),
            "in-flight": "1",
            "usage-events": str(own / "usage.jsonl"),
            "metrics-port": str(metrics_port),
            "http-port": str(http_port),
            "ledger": str(own / "ledger.db"),
            "http-fetch-networks": "127.0.0.1/32",
            "http-facades": "all",
            "immich-upstream": await stack.enter_async_context(native()),
            "quota-pictures": f"{QUOTA} per 1 hour",
        }
        process = await stack.enter_async_context(
            served(
                repository,
                port,
                own / "server.log",
                ["--http-fetch", "--http-fetch-plain", *(f"--{name}={value}" for name, value in flags.items())],
                {**os.environ, "HOME": str(own), "TMPDIR": str(own / "tmp")},
            )
        )
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(process.address, [("grpc.enable_retries", 0)])
        )
        stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)
        visit = Visit(process, fake, engine, stub, f"http://127.0.0.1:{http_port}", secret)
        for each in (*HTTP_VISITS, immich, programs, *VECTOR_VISITS, *VISITS):
            await _idle(metrics_port)
            fake.behaviours.clear()
            fake.behaviours.update(behaviours)
            await each(visit)
        metrics = await asyncio.to_thread(_scraped, metrics_port)
        places = changed(folders, before)
    _expect_visited(collector, metrics, (own / "server.log").read_text())
    places |= changed(folders, before)  # the log to its end
    places |= {
        "the metrics": metrics.encode(),
        "the traces": b"".join(sent.SerializeToString() for sent in collector.sent),
        "the errors": "\n".join(visit.told).encode(),
    }
    assert str(own / "server.log") in places
    assert b"imagier.task.charged" in places[str(own / "usage.jsonl")]
    assert any(name.startswith(str(own / "ledger.db")) for name in places)
    assert holders(words, places) == []


def _key(ledger: Path) -> str:
    with closing(Database(str(ledger))) as made:
        made.migrate()
        with made.writing() as connection:
            return keys.create(connection, Wish("library", ("tasks",), allowance=1000))[1]


async def _idle(metrics_port: int) -> None:
    """The gateway has noticed that the last caller has gone."""
    async with asyncio.timeout(20):
        while "\nimagier_in_flight_pictures 0.0\n" not in await asyncio.to_thread(_scraped, metrics_port):
            pass


def _expect_visited(collector: Collector, metrics: str, log: str) -> None:
    """Everything has happened, so that it could have left something."""
    for code in ("ok", "cancelled", "invalid", "exhausted", "deadline"):
        wanted = f'imagier_requests_total{{code="{code}",lane="interactive",transport="grpc"}}'
        (line,) = (row for row in metrics.splitlines() if row.startswith(wanted))
        assert float(line.rpartition(" ")[2]) > 0, line
    assert {"picture", "decode", "tags infer"} <= {span.name for span in collector.spans}
    assert log.count('"event": "picture"') > len(VISITS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return str(answer.read().decode())
