# SPDX-License-Identifier: Apache-2.0
"""Results that are sent to a Piwigo, pictures that are fetched from it, and all that it may answer."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from imagier_server.transport.http.facades.piwigo import callbacks
from support.piwigo import CREDITS, PHOTO, Piwigo, piwigo
from support.running_gateway import Gateway
from support.scripted_models import scripted_triton, write_repository

TAKEN = b'{"stat":"ok","result":"Ticket updated"}'
REFUSED = b'{"stat":"fail","err":1003,"message":"Ticket not found"}'
LOOPBACK = "127.0.0.1/32"


class Site:
    """The web server of a Piwigo. `answers`: how it answers results, the last one again and again; "hang" for none."""

    def __init__(self) -> None:
        self.answers: list[bytes | str] = [TAKEN]
        self.forms: list[dict[str, str]] = []
        self.heads: list[str] = []
        self.root = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if head.startswith("POST"):
            length = int(head.lower().partition("content-length: ")[2].partition("\r")[0])
            form = parse_qs((await reader.readexactly(length)).decode("ascii"), strict_parsing=True)
            self.forms.append({name: values[0] for name, values in form.items()})
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        else:
            answer = PHOTO
        if answer == "hang":
            await reader.read()
        elif isinstance(answer, str):
            writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))
        writer.close()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    site.root = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield site
    server.close()


@pytest.fixture
async def at(
    tmp_path: Path, site: Site, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Piwigo]:
    monkeypatch.setattr(callbacks, "PAUSES", (0.0, 0.0, 0.0))
    settings = {
        "metrics_port": unused_tcp_port,
        "http_fetch": True,
        "http_fetch_plain": True,
        "http_fetch_networks": LOOPBACK,
        "http_fetch_seconds": 1.0,
    }
    repository = write_repository(tmp_path / "models")
    async with piwigo(repository, scripted_triton(), tmp_path, site.root, **settings) as running:
        yield running


async def ended(at: Piwigo, outcome: str, count: int = 1) -> None:
    """Wait until so many results have been sent, or given up."""
    assert isinstance(at.running, Gateway)
    async with asyncio.timeout(60):
        while await at.running.metric(f'imagier_ticket_callbacks_total{{outcome="{outcome}"}}') < count:
            pass


def page(site: Site) -> str:
    return f"{site.root}/ws.php?format=json&method=pwg.ai.analyze"


async def test_a_result_is_sent_with_the_id_of_the_key_and_nothing_is_left_to_collect(at: Piwigo, site: Site) -> None:
    taken = await at.analyze(callback=page(site))
    await ended(at, "delivered")
    (form,) = site.forms
    assert site.heads[0].startswith("POST /ws.php?format=json&method=pwg.ai.analyze HTTP/1.1\r\n")
    assert form["account_id"] == at.secret.split("_")[1]
    assert form["ticket_id"] == taken["ticket_id"]
    assert form["cost"].isdecimal(), "the plugin takes whole numbers only"
    assert form["description"]
    assert "chat" in form["tags"].split(",")
    assert "ocr" not in form, "there was no text"
    assert len(form["process_time"]) <= 100
    assert (await at.get("tickets"))["tickets"] == []
    await at.has(CREDITS - 3)
    assert isinstance(at.running, Gateway)
    samples = await at.running.samples()
    assert samples['imagier_tickets_total{end="answered"}'] == 1
    assert samples["imagier_open_ticket_bytes"] == samples["imagier_open_tickets"] == 0


async def test_all_four_combinations_of_file_or_url_and_callback_or_polling(at: Piwigo, site: Site) -> None:
    url = f"{site.root}/upload/2026/05/06/photo.jpg"
    await at.analyze()
    await at.analyze(None, imageUrl=url)
    polled = {ticket["ticket_id"]: ticket for ticket in await at.collect(2)}
    await at.analyze(callback=page(site))
    await at.analyze(None, imageUrl=url, callback=page(site))
    await ended(at, "delivered", 2)
    assert len(polled) == 2
    assert {ticket["tags"] for ticket in polled.values()} == {form["tags"] for form in site.forms}
    assert Counter(head.split(" ")[0] for head in site.heads) == {"POST": 2, "GET": 2}


@pytest.mark.parametrize(
    ("answers", "tries"),
    [
        (["hang"], 4),
        (["500 Internal Server Error"], 4),
        ([b"<html>under maintenance</html>"], 4),
        (["302 Found\r\nLocation: http://127.0.0.1:1/"], 1),
        ([REFUSED], 1),
        (["404 Not Found"], 1),
    ],
)
async def test_what_is_not_taken_waits_to_be_collected(
    at: Piwigo, site: Site, answers: list[bytes | str], tries: int
) -> None:
    site.answers = answers
    taken = await at.analyze(callback=page(site))
    await ended(at, "failed")
    assert len(site.forms) == tries
    (ticket,) = await at.collect()
    assert ticket["ticket_id"] == taken["ticket_id"]
    assert ticket["tags"]
    await at.has(CREDITS - 3)


async def test_a_site_that_was_down_for_a_moment_gets_it_once(at: Piwigo, site: Site) -> None:
    site.answers = ["503 Service Unavailable", TAKEN]
    await at.analyze(callback=page(site))
    await ended(at, "delivered")
    assert len(site.forms) == 2
    assert site.forms[0] == site.forms[1]
    assert (await at.get("tickets"))["tickets"] == []


async def test_a_site_that_the_key_does_not_allow_is_left_alone(at: Piwigo, site: Site) -> None:
    other = Site()
    async with await asyncio.start_server(other.serve, "127.0.0.1", 0) as server:
        root = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await at.analyze(callback=root)
        assert len(await at.collect()) == 1
        assert await at.post("ping", {"callback": root}) == {"pong": True}
    assert other.heads == []


async def test_a_ping_reaches_the_site_that_the_key_allows(at: Piwigo, site: Site) -> None:
    assert await at.post("ping", {"callback": f"{site.root}/"}) == {"pong": True}
    assert site.heads[0].startswith("GET / HTTP/1.1\r\n")


async def test_private_addresses_are_refused_although_the_key_allows_the_origin(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "PAUSES", ())
    async with piwigo(write_repository(tmp_path / "models"), scripted_triton(), tmp_path, site.root) as at:
        await at.analyze(callback=page(site))
        found = await at.post("ping", {"callback": site.root})
        assert found["errors"], "the plugin says so when it is activated"
        assert not found["pong"]
        assert len(await at.collect()) == 1
    assert site.heads == []


async def test_a_url_that_cannot_be_fetched_fails_the_ticket(at: Piwigo) -> None:
    await at.analyze(None, imageUrl="http://127.0.0.2/photo.jpg")
    (ticket,) = await at.collect()
    assert "public addresses" in ticket["failed"]
    assert "127.0.0.2" not in json.dumps(ticket)
    await at.has(CREDITS)
    for url in ("file:///etc/passwd", "http://u:p@127.0.0.1/", "http://127.0.0.1:22/"):
        assert (await at.analyze(None, imageUrl=url))["status"] == 400
