# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

import pytest
from imagier_server.transport.http.addresses import Allowed, RefusedAddressError
from imagier_server.transport.http.connecting import Connector, UrlUnavailableError
from imagier_server.transport.http.posting import Answered, Poster

FIELDS = {"description": "a café & more", "tags": "chat,猫"}


async def test_a_form_as_a_browser_sends_it_and_the_beginning_of_the_answer() -> None:
    asked: list[bytes] = []

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        asked.extend((head, await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 99999999\r\n\r\n" + bytes(1 << 20))
        writer.close()

    async with await asyncio.start_server(site, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws.php?format=json"
        poster = Poster(Connector(Allowed("127.0.0.1/32"), plain=True), 30.0, "Imagier/1")
        assert await poster.post(url, FIELDS) == Answered(302, bytes(64 * 1024)), "nobody follows it"
        with pytest.raises(RefusedAddressError):
            await Poster(Connector(Allowed(), plain=True), 30.0, "Imagier/1").post(url, FIELDS)
    head, body = asked
    assert head.startswith(b"POST /ws.php?format=json HTTP/1.1\r\n")
    assert {name: values[0] for name, values in parse_qs(body.decode("ascii")).items()} == FIELDS


async def test_who_does_not_answer_is_not_waited_for() -> None:
    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(site, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(UrlUnavailableError):
            await Poster(Connector(Allowed("127.0.0.1/32"), plain=True), 0.05, "Imagier/1").get(url)
