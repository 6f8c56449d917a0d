# SPDX-License-Identifier: Apache-2.0
"""A disk that is full under the ledger and the usage events, and has room again: nothing is lost, nothing is charged twice."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from contextlib import closing
from pathlib import Path

import grpc
from imagier.v1 import account_pb2, account_pb2_grpc, annotator_pb2, annotator_pb2_grpc, tags_pb2
from imagier_server.ledger import accounts, keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish
from support.fake_triton import serving
from support.ledger_cases import account
from support.running_gateway import details, picture, status_of
from support.scripted_models import scripted_triton, write_repository
from support.served_gateway import served

CREDITS = 10_000
# A disk of the process's own, with the ledger on it; without being root, too.
ON_A_SMALL_DISK = (
    *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"),
    'mount -t tmpfs -o size=1m none "$0" && cp "$0".db "$0"/ledger.db && exec "$@"',
)


def fill(disk: Path) -> Path:
    """A file that takes all the room there is."""
    filler = os.open(disk / "filler", os.O_CREAT | os.O_WRONLY)
    for size in (4096, 1):
        try:
            while True:
                os.write(filler, bytes(size))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    os.close(filler)
    return disk / "filler"


async def test_a_full_disk_under_the_ledger_and_the_usage_events(tmp_path: Path) -> None:
    disk, beside = tmp_path / "disk", tmp_path / "disk.db"
    disk.mkdir()
    with closing(Database(str(beside))) as ledger:
        ledger.migrate()
        with ledger.writing() as connection:
            _, secret = keys.create(connection, Wish("library", allowance=CREDITS))
    flags = ("--ledger", str(disk / "ledger.db"), "--usage-events", str(disk / "usage.jsonl"), "--no-http")
    request = annotator_pb2.AnnotateRequest(image=picture(), tags=tags_pb2.TagsOptions())
    metadata = (("x-api-key", secret),)
    paid = 0
    async with (
        serving(scripted_triton()) as engine,
        served(
            write_repository(tmp_path), engine, tmp_path / "log", flags, within=(*ON_A_SMALL_DISK, str(disk))
        ) as gateway,
        grpc.aio.insecure_channel(gateway.address, options=[("grpc.enable_retries", 0)]) as channel,
        asyncio.timeout(120),
    ):
        within = Path(f"/proc/{gateway.process.pid}/root{disk}")

        async def answered() -> bool:
            nonlocal paid
            try:
                answer = await annotator_pb2_grpc.AnnotatorServiceStub(channel).Annotate(request, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE, error
                found = details(status_of(error))
                assert found["ErrorInfo"].reason == "LEDGER_UNAVAILABLE"
                assert found["RetryInfo"].retry_delay.ToMilliseconds() > 0
                return False
            paid += answer.cost
            return True

        assert await answered()
        filler = fill(within)
        while await answered():  # a page of the database, or of its log, may have room still
            pass
        for _ in range(3):
            assert not await answered()
        filler.unlink()
        while not await answered():  # noqa: ASYNC110 - the server makes it true
            await asyncio.sleep(0)
        mine = account_pb2_grpc.AccountServiceStub(channel)
        while (await mine.GetBalance(account_pb2.GetBalanceRequest(), metadata=metadata)).reserved:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        events = within / "usage.jsonl"
        while len(lines := [*map(json.loads, events.read_text("utf-8").splitlines())]) < paid:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        assert len({event["id"] for event in lines}) == len(lines) == paid
        # SQLite follows the link that leads there to our own disk.
        for name in ("ledger.db", "ledger.db-wal"):
            (tmp_path / name).write_bytes((within / name).read_bytes())
    with closing(Database(str(tmp_path / "ledger.db"))) as ledger:
        assert account(ledger).balance == CREDITS - paid
        with ledger.reading() as connection:
            assert sum(use.pictures for use in accounts.usage(connection, "library")) == paid
    assert secret not in (tmp_path / "log").read_text("utf-8")
