# SPDX-License-Identifier: Apache-2.0
"""Piwigo's plugin Piwigo AI (f3dbcbe, 0.0.4beta; 0304106, 0.0.6beta): calls as it makes them, answers as it reads them."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import pytest_asyncio
from support.fake_triton import FakeTriton, serving
from support.piwigo import CREDITS, Piwigo, made_key, piwigo
from support.running_gateway import gateway
from support.scripted_models import scripted_triton, write_repository

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Piwigo]:
    folder = tmp_path_factory.mktemp("piwigo")
    async with piwigo(write_repository(folder / "models"), scripted_triton(), folder) as running:
        yield running


async def test_a_file_is_taken_in_and_its_result_collected_once(plain: Piwigo) -> None:
    before = (await plain.get("credits"))["credits"]
    taken = await plain.analyze()
    assert str(uuid.UUID(taken["ticket_id"])) == taken["ticket_id"], "36 characters"
    assert taken["ticket_status"] == "pending"
    assert isinstance(taken["options"], str), "the plugin stores it as text"
    assert json.loads(taken["options"]) == {"caption": True, "tagging": True, "ocr": True}
    assert taken["cost"] == 3
    (ticket,) = await plain.collect()
    assert ticket["ticket_id"] == taken["ticket_id"]
    assert (ticket["cost"], type(ticket["cost"])) == (3, int)
    assert isinstance(ticket["process_time"], str)
    assert len(ticket["process_time"]) <= 100
    assert {"chat", "chat tigré"} >= set(ticket["tags"].split(",")), "in the language of the site"
    assert ticket["description"]
    assert ticket["ocr"] == []
    assert "failed" not in ticket
    assert (await plain.get("tickets"))["tickets"] == []
    await plain.has(before - 3)


async def test_a_retry_sends_the_stored_options_again(plain: Piwigo) -> None:
    taken = await plain.analyze(caption="", ocr="")
    options = json.loads(taken["options"])
    assert options == {"caption": False, "tagging": True, "ocr": False}
    assert taken["cost"] == 1
    again = await plain.analyze(**{name: "1" if value else "" for name, value in options.items()})
    assert again["options"] == taken["options"]
    tickets = await plain.collect(2)
    assert [ticket["ocr"] for ticket in tickets] == [None, None], "the plugin erases what it did not ask for"


async def test_what_cannot_be_read_fails_with_a_reason_and_is_free(plain: Piwigo) -> None:
    before = (await plain.get("credits"))["credits"]
    taken = await plain.analyze(b"no picture at all")
    (ticket,) = await plain.collect()
    assert ticket["ticket_id"] == taken["ticket_id"]
    assert ticket["failed"]
    assert ticket["cost"] == 0
    await plain.has(before)


async def test_0_0_6_names_its_tickets_and_says_when_it_has_them(plain: Piwigo) -> None:
    taken = (await plain.analyze())["ticket_id"]
    other = str(uuid.uuid4())
    async with asyncio.timeout(60):
        while not (found := await plain.post("tickets/poll", {"ticket_ids": [taken, other]}))["tickets"]:
            pass
    assert found["tickets"][0]["ticket_id"] == taken
    assert (found["not_found"], found["acked"]) == ([other], [])
    assert (await plain.post("tickets/poll", {"ticket_ids": [taken]}))["tickets"] == found["tickets"], "it is kept"
    await plain.post("tickets/ack", {"ticket_ids": [taken]})
    assert await plain.post("tickets/poll", {"ticket_ids": [taken]}) == {
        "tickets": [],
        "not_found": [taken],
        "acked": [],
    }


@pytest.mark.parametrize(
    "value", [[], {}, {"ticket_ids": "a"}, {"ticket_ids": [1]}, {"ticket_ids": ["a"] * 1001}, {"ticket_ids": ["é"]}]
)
async def test_tickets_that_are_none_are_refused(plain: Piwigo, value: object) -> None:
    for what in ("tickets/poll", "tickets/ack"):
        found = await plain.post(what, value)
        assert (found["status"], found["message"].partition(":")[0]) == (400, "ticket_ids")


async def test_errors_are_in_the_body(plain: Piwigo, tmp_path: Path) -> None:
    stranger = Piwigo(plain.http, "img_" + 12 * "0" + "_" + 64 * "0")
    nobody = Piwigo(plain.http, "")
    for each in (stranger, nobody):
        found = await each.analyze()
        assert found["status"] == 401
        assert found["message"]
        for what in ("tickets", "credits"):
            found = await each.get(what)
            assert found["status"] == 401
            assert not {"credits", "tickets"} & found.keys(), "that is how the plugin sees that the key is wrong"
    for fields, field in (({"ocr": "maybe"}, "ocr"), ({"callback": "ftp://a.example"}, "callback")):
        found = await plain.analyze(**fields)
        assert (found["status"], found["message"].partition(":")[0]) == (400, field)
    found = await plain.analyze(None)
    assert (found["status"], found["message"].partition(":")[0]) == (400, "image")
    found = await plain.analyze(None, imageUrl="http://127.0.0.1/photo.jpg")
    assert (found["status"], found["message"].partition(":")[0]) == (400, "imageUrl")


async def test_a_version_that_is_too_old_gets_426_everywhere(plain: Piwigo) -> None:
    old = Piwigo(plain.http, plain.secret, "0.0.3beta")
    assert (await old.analyze())["status"] == 426
    for what in ("tickets", "credits", "health"):
        found = await old.get(what)
        assert (found["status"], type(found["status"])) == (426, int), "exactly this switches the plugin off"
    assert (await old.post("ping", {"callback": "https://a.example/"}))["status"] == 426


async def test_health_needs_no_key(plain: Piwigo) -> None:
    assert (await plain.http.get("/piwigo/health")).json() == {"up": True}


async def test_a_ping_makes_the_plugin_send_files_and_calls_nobody(plain: Piwigo) -> None:
    """0.0.4 sends files to a server that reaches it, 0.0.6 to one that does not."""
    asked: list[object] = []

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(100))
        writer.close()

    async with await asyncio.start_server(site, "127.0.0.1", 0) as server:
        root = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        assert await plain.post("ping", {"callback": root}) == {"pong": True}
        newer = Piwigo(plain.http, plain.secret, "0.0.6beta")
        assert await newer.post("ping", {"callback": root}) == {"pong": False}
        (await plain.analyze(callback=f"{root}ws.php?format=json&method=pwg.ai.analyze"))["ticket_id"]
        assert len(await plain.collect()) == 1
    assert asked == []


@pytest.mark.parametrize("value", [[], {}, {"callback": 7}, {"callback": "a"}, {"callback": ""}])
async def test_a_ping_without_an_address_is_an_activation_error(plain: Piwigo, value: object) -> None:
    found = await plain.post("ping", value)
    assert found["errors"]
    assert found["status"] == 400


async def test_a_batch_is_taken_in_at_once_collected_once_and_charged_once(plain: Piwigo) -> None:
    before = (await plain.get("credits"))["credits"]
    taken = [(await plain.analyze(caption="", ocr=""))["ticket_id"] for _ in range(50)]
    tickets = await plain.collect(50)
    assert sorted(ticket["ticket_id"] for ticket in tickets) == sorted(taken)
    assert (await plain.get("tickets"))["tickets"] == []
    await plain.has(before - 50)


async def test_two_at_once_do_not_get_the_same_result(plain: Piwigo) -> None:
    for _ in range(10):
        await plain.analyze(caption="", ocr="")
    found: list[str] = []
    async with asyncio.timeout(60):
        while len(found) < 10:
            for answer in await asyncio.gather(*(plain.get("tickets") for _ in range(4))):
                found += [ticket["ticket_id"] for ticket in answer["tickets"]]
    assert len(set(found)) == len(found) == 10


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_repository(tmp_path / "models")


async def test_it_needs_a_ledger(repository: Path) -> None:
    async with serving(scripted_triton()) as engine:
        with pytest.raises(OSError, match="--ledger"):
            async with gateway(repository, engine, 0, http_facades="piwigo"):
                pass
        async with (
            gateway(repository, engine, 0, http_facades="all") as running,
            httpx.AsyncClient(base_url=running.http, trust_env=False) as client,
        ):
            assert (await client.get("/piwigo/tickets")).json()["status"] == 501


async def test_it_is_off_unless_named(repository: Path, tmp_path: Path) -> None:
    where = str(tmp_path / "ledger.db")
    made_key(where)
    async with (
        serving(scripted_triton()) as engine,
        gateway(repository, engine, 0, ledger=where) as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False) as client,
    ):
        assert (await client.get("/piwigo/health")).status_code == 404


async def test_a_full_desk_and_an_empty_account_say_so(repository: Path, tmp_path: Path) -> None:
    fake: FakeTriton = scripted_triton()
    hold = asyncio.Event()
    tag = fake.behaviours["tagger"]

    async def slow(request: Any, context: Any) -> Any:
        await hold.wait()
        return await tag(request, context)

    fake.behaviours["tagger"] = slow
    async with piwigo(repository, fake, tmp_path, tickets=8) as at:
        only_tags = {"caption": "", "ocr": ""}
        for _ in range(7):
            assert "ticket_id" in await at.analyze(**only_tags)
        full = await at.analyze(**only_tags)
        assert full["status"] == 429
        assert "tickets" in full["message"]
        hold.set()
        assert len(await at.collect(7)) == 7
        await at.has(CREDITS - 7)
