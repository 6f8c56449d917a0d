# SPDX-License-Identifier: Apache-2.0
"""The desk before a scripted pipeline, with a real ledger."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from imagier_server.admission.admission import Admission
from imagier_server.admission.credits import charged
from imagier_server.call import TASKS, Caller, Identity, Lane
from imagier_server.errors import DrainingError, Full, ImagierError, InternalError, OverloadedError, UnpaidError
from imagier_server.ledger import keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish
from imagier_server.ledger.ledger import Ledger, opened
from imagier_server.messages import AnnotateRequest
from imagier_server.tasks.ocr.values import OcrOptions
from imagier_server.tasks.tags.values import TagsOptions
from imagier_server.tickets import desk as desks
from imagier_server.tickets.desk import Desk, Doors
from imagier_server.tickets.places import Places
from imagier_server.tickets.sealing import Seal
from imagier_server.tickets.ticket import Answer, Ticket
from support.calls import call
from support.ledger_cases import account
from support.scripted_pipeline import BROKEN, IMAGE, Bench

CREDITS = 10
SEAL = Seal("a key")


@dataclass
class Office:
    """A desk with all that it stands before."""

    desk: Desk
    parts: Bench
    ledger: Ledger
    database: Database
    identity: Identity

    def ticket(self, name: str, image: bytes = IMAGE, **more: Any) -> Ticket:
        request = AnnotateRequest(image, {"tags": TagsOptions(), "ocr": OcrOptions()})
        whose = replace(call(Lane.BULK, 3600, Caller("tenant library", "tickets")), identity=self.identity)
        return Ticket(name, request, whose, SEAL, written, **more)

    async def ended(self, count: int = 1) -> dict[str, Any]:
        """The documents of tickets by id, when so many have ended; None for one that was lost."""
        found: dict[str, Any] = {}
        async with asyncio.timeout(30):
            while len(found) < count:
                for kept in await self.desk.book.collect(self.identity.key_id):
                    document = SEAL.open(kept.id, kept.sealed) if kept.sealed is not None else None
                    found[kept.id] = document and json.loads(document)
        return found

    async def balance(self, balance: int, reserved: int = 0) -> None:
        async with asyncio.timeout(30):
            while (found := account(self.database)).balance != balance or found.reserved != reserved:  # noqa: ASYNC110
                await asyncio.sleep(0)

    async def until(self, name: str, value: float, **labels: str) -> None:
        async with asyncio.timeout(30):
            while self.parts.value(name, **labels) != value:  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0)


def written(ticket: str, answer: Answer) -> bytes:
    ends = {name: each.error.reason if each.error else "ok" for name, each in answer.outcomes.items()}
    return json.dumps({"cost": answer.cost} | ends).encode()


@asynccontextmanager
async def office(folder: Path, *, tickets: int = 100, total_bytes: int = 10_000) -> AsyncIterator[Office]:
    with ThreadPoolExecutor(2) as threads, closing(Database(str(folder / "ledger.db"))) as database:
        parts = Bench(threads)
        database.migrate()
        with database.writing() as connection:
            made, _ = keys.create(connection, Wish("library", allowance=CREDITS))
        async with opened(database.where, parts.metrics) as ledger:
            seconds = dict.fromkeys(Lane, 60.0)
            stage = charged(ledger, parts.pipeline.prices.__getitem__, seconds)
            doors = Doors(
                Admission((parts.draining.stage, stage)),
                replace(parts.pipeline, admission=Admission((parts.limits.stage,))),
                parts.draining,
            )
            places = Places(tickets, total_bytes, parts.metrics)
            async with Desk(doors, ledger.tickets, places, 2, parts.metrics).open() as desk:
                yield Office(
                    desk, parts, ledger, database, Identity(made.identity.key_id, "library", frozenset({TASKS}))
                )


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path) as made:
        yield made


async def test_it_is_taken_in_before_it_is_read_and_charged_once_it_is_kept(at: Office) -> None:
    at.parts.decoder.hold = asyncio.Event()
    await at.desk.submit(at.ticket("a"))
    assert account(at.database).reserved == 3
    assert at.parts.value("imagier_open_tickets") == 1
    at.parts.decoder.hold.set()
    assert await at.ended() == {"a": {"cost": 3, "tags": "ok", "ocr": "ok"}}
    await at.balance(CREDITS - 3)
    await at.until("imagier_open_tickets", 0)
    assert at.parts.value("imagier_tickets_total", end="answered") == 1
    assert {lane for _, lane, _ in at.parts.engine.calls} == {Lane.BULK}


async def test_credits_are_missed_at_once(at: Office) -> None:
    at.parts.decoder.hold = asyncio.Event()
    for name in ("a", "b", "c"):
        await at.desk.submit(at.ticket(name))
    with pytest.raises(ImagierError):
        await at.desk.submit(at.ticket("d"))
    at.parts.decoder.hold.set()
    assert set(await at.ended(3)) == {"a", "b", "c"}
    await at.balance(1)
    with pytest.raises(UnpaidError):
        await at.desk.submit(at.ticket("d"))
    await at.until("imagier_open_tickets", 0)


async def test_what_cannot_be_read_fails_and_is_free(at: Office) -> None:
    await at.desk.submit(at.ticket("a", BROKEN))
    assert await at.ended() == {"a": {"cost": 0, "tags": "INVALID_IMAGE", "ocr": "INVALID_IMAGE"}}
    await at.balance(CREDITS)
    assert at.parts.value("imagier_tickets_total", end="failed") == 1


async def test_a_task_that_fails_for_a_moment_is_tried_again_and_the_other_is_not(at: Office) -> None:
    busy = [OverloadedError("busy", Full.QUEUE, retry_after=0.0) for _ in range(2)]

    async def answer() -> None:
        if busy:
            raise busy.pop()

    at.parts.engine.answers["ocr_model"] = answer
    await at.desk.submit(at.ticket("a"))
    assert await at.ended() == {"a": {"cost": 3, "tags": "ok", "ocr": "ok"}}
    models = [model for model, *_ in at.parts.engine.calls]
    assert (models.count("ocr_model"), models.count("tags_model")) == (3, 1)


async def test_tries_come_to_an_end(at: Office) -> None:
    at.parts.engine.answers["ocr_model"] = OverloadedError("busy", Full.QUEUE, retry_after=0.0)
    await at.desk.submit(at.ticket("a"))
    assert await at.ended() == {"a": {"cost": 1, "tags": "ok", "ocr": "OVERLOADED"}}
    assert sum(model == "ocr_model" for model, *_ in at.parts.engine.calls) == desks._MOST_TRIES
    await at.balance(CREDITS - 1)


async def test_a_picture_that_is_fetched_when_its_turn_comes(at: Office) -> None:
    async def fetch(_call: object) -> bytes:
        return IMAGE

    async def gone(_call: object) -> bytes:
        raise InternalError

    await at.desk.submit(at.ticket("a", b"", fetch=fetch))
    await at.desk.submit(at.ticket("b", b"", fetch=gone))
    found = await at.ended(2)
    assert found["a"] == {"cost": 3, "tags": "ok", "ocr": "ok"}
    assert found["b"] == {"cost": 0, "tags": "INTERNAL", "ocr": "INTERNAL"}


async def test_the_picture_is_gone_when_it_has_been_read(at: Office) -> None:
    class Bytes(bytearray):  # bytes cannot be watched
        pass

    image = Bytes(b"a picture")
    watched, arriving = weakref.ref(image), asyncio.Event()

    async def deliver(document: bytes) -> bool:
        await arriving.wait()
        return True

    await at.desk.submit(at.ticket("a", image, deliver=deliver))  # type: ignore[arg-type]
    del image
    await at.until("imagier_open_ticket_bytes", 0)
    gc.collect()
    assert watched() is None, "although its result is still on its way"
    arriving.set()
    await at.until("imagier_open_tickets", 0)


async def test_a_result_that_arrives_is_gone_and_one_that_does_not_can_be_collected(at: Office) -> None:
    sent: list[bytes] = []

    async def deliver(document: bytes) -> bool:
        sent.append(document)
        return len(sent) == 1

    await at.desk.submit(at.ticket("a", deliver=deliver))
    await at.until("imagier_ticket_callbacks_total", 1, outcome="delivered")
    await at.desk.submit(at.ticket("b", deliver=deliver))
    assert set(await at.ended()) == {"b"}
    assert at.parts.value("imagier_ticket_callbacks_total", outcome="failed") == 1
    assert json.loads(sent[0])["cost"] == 3
    await at.balance(CREDITS - 6)


async def test_one_tenant_has_so_many_read_at_a_time(at: Office) -> None:
    at.parts.decoder.hold = asyncio.Event()
    for name in "abc":
        await at.desk.submit(at.ticket(name))
    async with asyncio.timeout(30):
        while at.parts.decoder.calls < 2:  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0)
    assert at.parts.decoder.calls == 2
    at.parts.decoder.hold.set()
    assert len(await at.ended(3)) == 3
    assert at.desk._turns._of == {}


async def test_a_thousand_tickets_are_bounded(tmp_path: Path) -> None:
    async with office(tmp_path, total_bytes=90) as at:
        at.parts.decoder.hold = asyncio.Event()
        for number in range(3):
            await at.desk.submit(at.ticket(f"t{number}", bytes(25)))
        for number in range(3, 1000):
            with pytest.raises(OverloadedError) as refused:
                await at.desk.submit(at.ticket(f"t{number}", bytes(25)))
            assert refused.value.cause == Full.TICKET_BYTES
        assert account(at.database).reserved == 9, "what was refused holds nothing"
        at.parts.decoder.hold.set()
        assert set(await at.ended(3)) == {"t0", "t1", "t2"}


async def test_a_drain_fails_what_waits_and_a_stop_loses_what_is_being_read(tmp_path: Path) -> None:
    async with office(tmp_path) as at:
        at.parts.decoder.hold = asyncio.Event()
        for name in "abc":
            await at.desk.submit(at.ticket(name))
        async with asyncio.timeout(30):
            while at.parts.decoder.calls < 2:  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0)
        at.parts.draining.begin()
        assert await at.ended() == {"c": {"cost": 0, "tags": "DRAINING", "ocr": "DRAINING"}}
        with pytest.raises(DrainingError):
            await at.desk.submit(at.ticket("d"))
        key_id = at.identity.key_id
    async with opened(str(tmp_path / "ledger.db"), at.parts.metrics) as ledger:
        assert {(each.id, each.sealed) for each in await ledger.tickets.collect(key_id)} == {("a", None), ("b", None)}
    with closing(Database(str(tmp_path / "ledger.db"))) as database:
        assert (account(database).balance, account(database).reserved) == (CREDITS, 0)


async def test_a_caller_who_leaves_before_the_answer_leaves_nothing(at: Office) -> None:
    submitting = asyncio.create_task(at.desk.submit(at.ticket("a")))
    await asyncio.sleep(0)
    submitting.cancel()
    await asyncio.wait([submitting])
    await at.until("imagier_open_tickets", 0)
    await at.balance(CREDITS)
    assert await at.desk.book.look(at.identity.key_id, ["a"]) == ([], set())
