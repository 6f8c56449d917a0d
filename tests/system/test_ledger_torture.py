# SPDX-License-Identifier: Apache-2.0
"""Two gateways on one PostgreSQL: gateways are killed, the database restarts, clients retry, and each operation is charged once."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import grpc
import pytest
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, tags_pb2
from imagier_server.ledger import accounts, booking, keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish
from support.fake_triton import serving
from support.ledger_cases import account, sweep
from support.postgresql import postgresql
from support.running_gateway import picture
from support.scripted_models import scripted_triton, write_repository
from support.served_gateway import Served, served

OPERATIONS, CLIENTS, CREDITS = 240, 12, 10_000
PERMANENT = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.FAILED_PRECONDITION}


class Gateways:
    """Those that serve now; one that is killed is replaced."""

    def __init__(self, start: Callable[[], object]) -> None:
        self._start = start
        self._stack = AsyncExitStack()
        self.running: list[Served] = []

    async def add(self) -> None:
        self.running.append(await self._stack.enter_async_context(self._start()))

    async def kill(self, which: int) -> None:
        victim = self.running.pop(which)
        victim.process.send_signal(signal.SIGKILL)
        await victim.process.wait()
        await self.add()

    async def close(self) -> None:
        await self._stack.aclose()


async def answered(gateways: Gateways, number: int, secret: str) -> int:
    """Ask for one picture's tags until they come, of one gateway after the other; return the tries."""
    request = annotator_pb2.AnnotateRequest(image=picture(), tags=tags_pb2.TagsOptions())
    metadata = (("authorization", f"Bearer {secret}"), ("idempotency-key", f"operation {number}"))
    for tries in range(1, 1000):
        target = gateways.running[(number + tries) % len(gateways.running)].address
        async with grpc.aio.insecure_channel(target, options=[("grpc.enable_retries", 0)]) as channel:
            try:
                answer = await annotator_pb2_grpc.AnnotatorServiceStub(channel).Annotate(
                    request, metadata=metadata, timeout=5
                )
            except grpc.aio.AioRpcError as error:
                assert error.code() not in PERMANENT, error
            else:
                if answer.cost:
                    return tries
        await asyncio.sleep(0)
    raise AssertionError("never answered")


async def test_each_operation_is_charged_once_whatever_dies(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = write_repository(tmp_path)
    logs = (tmp_path / f"gateway{number}.log" for number in range(100))
    with postgresql(unused_tcp_port_factory()) as database:
        where = database.database("torture")
        with closing(Database(where)) as ledger:
            ledger.migrate()
            with ledger.writing() as connection:
                _, secret = keys.create(connection, Wish("library", allowance=CREDITS))
            async with serving(scripted_triton()) as engine:

                @asynccontextmanager
                async def start() -> AsyncIterator[Served]:
                    async with served(repository, engine, next(logs), ("--ledger", where, "--no-http")) as gateway:
                        yield gateway

                gateways = Gateways(start)
                try:
                    await gateways.add()
                    await gateways.add()
                    numbers, done = iter(range(OPERATIONS)), 0

                    async def client() -> None:
                        nonlocal done
                        for number in numbers:
                            await answered(gateways, number, secret)
                            done += 1

                    async def until(count: int) -> None:
                        while done < count:  # noqa: ASYNC110 - clients make it true
                            await asyncio.sleep(0)

                    async def chaos() -> None:
                        await until(OPERATIONS // 6)
                        await gateways.kill(0)
                        await until(OPERATIONS // 3)
                        await asyncio.to_thread(database.stop)
                        await asyncio.to_thread(database.start)
                        await until(OPERATIONS // 2)
                        await gateways.kill(1)
                        await until(2 * OPERATIONS // 3)
                        await asyncio.to_thread(database.stop)
                        await asyncio.to_thread(database.start)

                    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
                        group.create_task(chaos())
                        for _ in range(CLIENTS):
                            group.create_task(client())
                finally:
                    await gateways.close()
            assert done == OPERATIONS
            # The reservations of killed gateways expire.
            now = time.time()
            monkeypatch.setattr(booking.time, "time", lambda: now + 7200)
            sweep(ledger)
            found = account(ledger)
            with ledger.reading() as connection:
                assert accounts.faults(connection) == []
                charged = sum(use.pictures for use in accounts.usage(connection, "library"))
            assert (charged, found.balance, found.reserved) == (OPERATIONS, CREDITS - OPERATIONS, 0)
