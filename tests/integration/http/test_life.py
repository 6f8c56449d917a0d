# SPDX-License-Identifier: Apache-2.0
"""The HTTP door from its opening to its end: where it listens, probes, callers who leave, a drain."""

from __future__ import annotations

import asyncio
import ssl
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from imagier_server import app
from imagier_server.settings import Settings
from imagier_server.transport.credentials import Credentials
from imagier_server.transport.http import connections
from support.fake_triton import FakeTriton, serving
from support.made_certificates import Authority
from support.running_gateway import Gateway, gateway, picture

PICTURE = picture("PNG", (64, 64))
URL = "/v1/annotate?tasks=tags"


class Held:
    """The tagger answers when it is released, and says when it was given up."""

    def __init__(self, fake: FakeTriton) -> None:
        self.arrived, self.release, self.gone = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._scores = fake.behaviours["tagger"]
        fake.behaviours["tagger"] = self._answer

    async def _answer(self, request: Any, context: Any) -> Any:
        self.arrived.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.gone.set()
            raise
        return await self._scores(request, context)


async def test_probes(http: httpx.AsyncClient, running: Gateway, fake: FakeTriton) -> None:
    assert (await http.get("/livez")).status_code == 200
    assert (await http.get("/readyz")).status_code == 200
    fake.loaded.discard("text_detector")
    await running.until(ready=False)
    assert (await http.get("/readyz")).status_code == 503
    assert (await http.get("/livez")).status_code == 200


async def test_a_caller_who_leaves_ends_the_work(http: httpx.AsyncClient, running: Gateway, fake: FakeTriton) -> None:
    held = Held(fake)
    call = asyncio.create_task(http.post(URL, content=PICTURE))
    async with asyncio.timeout(20):
        await held.arrived.wait()
        call.cancel()
        await held.gone.wait()
        while await running.metric('imagier_requests_total{code="cancelled",lane="interactive",transport="http"}') < 1:
            pass
    assert await running.metric("imagier_in_flight_pictures") == 0


@pytest.mark.parametrize(
    "path", [URL, "/imagier.v1.AnnotatorService/Annotate", "/v1/chat/completions", "/v1/responses"]
)
async def test_without_room_a_call_is_refused_before_its_body_comes(
    repository: Path, fake: FakeTriton, unused_tcp_port: int, path: str
) -> None:
    held = Held(fake)
    async with (
        serving(fake) as engine,
        gateway(repository, engine, unused_tcp_port, in_flight=1) as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False) as client,
    ):
        await running.until(ready=True)
        call = asyncio.create_task(client.post(URL, content=PICTURE))
        await held.arrived.wait()
        address = urlsplit(running.http)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head = f"POST {path} HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-type: application/json\r\n"
        writer.write(f"{head}content-length: 1000000\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 429 ")
        writer.close()
        held.release.set()
        assert (await call).status_code == 200


async def test_a_drain_answers_what_is_in_flight_and_refuses_what_is_new(
    repository: Path, fake: FakeTriton, unused_tcp_port: int
) -> None:
    held = Held(fake)
    async with serving(fake) as engine, httpx.AsyncClient(trust_env=False) as client:
        context = gateway(repository, engine, unused_tcp_port, drain_seconds=20.0)
        running = await context.__aenter__()
        await running.until(ready=True)
        await client.get(f"{running.http}/livez")  # a connection stays open
        in_flight = asyncio.create_task(client.post(running.http + URL, content=PICTURE))
        async with asyncio.timeout(20):
            await held.arrived.wait()
            ending = asyncio.create_task(context.__aexit__(None, None, None))
            while (probe := await client.get(f"{running.http}/readyz")).status_code == 200:
                pass
            assert probe.headers["connection"] == "close"
            refused = await client.post(running.http + URL, content=PICTURE)
            assert (refused.status_code, refused.json()["reason"]) == (503, "DRAINING")
            assert int(refused.headers["retry-after"]) >= 1
            held.release.set()
            assert (await in_flight).json()["tags"]["tags"]
            await ending
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{running.http}/livez")


async def test_what_the_grace_is_too_short_for_may_be_tried_again(
    repository: Path, fake: FakeTriton, unused_tcp_port: int
) -> None:
    held = Held(fake)
    async with serving(fake) as engine, httpx.AsyncClient(trust_env=False) as client:
        async with gateway(repository, engine, unused_tcp_port, drain_seconds=0.1) as running:
            await running.until(ready=True)
            call = asyncio.create_task(client.post(running.http + URL, content=PICTURE))
            await held.arrived.wait()
        answer = await call
    assert (answer.status_code, answer.json()["reason"]) == (503, "DRAINING")
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_socket_for_its_owner_and_group(
    repository: Path, fake: FakeTriton, unused_tcp_port: int, tmp_path: Path
) -> None:
    path = tmp_path / "http.sock"
    async with (
        serving(fake) as engine,
        gateway(repository, engine, unused_tcp_port, http_host=f"unix:{path}") as running,
        httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), base_url="http://here") as client,
    ):
        await running.until(ready=True)
        assert running.http == f"http://unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert (await client.post(URL, content=PICTURE)).json()["tags"]["tags"]
    assert not path.exists()


async def test_metrics_are_there_if_told_to(http: httpx.AsyncClient, repository: Path, fake: FakeTriton) -> None:
    assert (await http.get("/metrics")).status_code == 404
    async with (
        serving(fake) as engine,
        gateway(repository, engine, 0, http_metrics=True) as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False) as client,
    ):
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert "imagier_requests_total{" in answer.text


async def test_off(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> None:
    async with serving(fake) as engine, gateway(repository, engine, unused_tcp_port, http=False) as running:
        await running.until(ready=True)
        assert running.http == "http://None"


async def test_pages_of_other_origins_may_call_only_if_they_are_named(
    repository: Path, fake: FakeTriton, http: httpx.AsyncClient
) -> None:
    asks = {"origin": "https://example.org", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in (await http.options(URL, headers=asks)).headers
    options = {"http_origins": "https://example.org, https://example.net"}
    async with (
        serving(fake) as engine,
        gateway(repository, engine, 0, **options) as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False) as client,
    ):
        answer = await client.options(URL, headers=asks)
        assert answer.headers["access-control-allow-origin"] == "https://example.org"
        answer = await client.options(URL, headers={**asks, "origin": "https://example.com"})
        assert "access-control-allow-origin" not in answer.headers


async def test_tls_and_client_certificates(
    repository: Path, fake: FakeTriton, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    pair, own = authority.issue("server", "127.0.0.1"), authority.issue("reader", uris=("spiffe://library/reader",))
    trusting = ssl.create_default_context(cafile=authority.certificate)
    certified = ssl.create_default_context(cafile=authority.certificate)
    certified.load_cert_chain(own.certificate, own.key)
    asked: list[tuple[str, ...]] = []

    async def identify(_: Credentials, __: Any, names: Any = ()) -> None:
        asked.append(tuple(names))

    monkeypatch.setattr(Credentials, "identify", identify)
    settings = Settings(
        engine="127.0.0.1:1",
        model_repository=repository,
        port=0,
        metrics_port=0,
        http_port=0,
        drain_seconds=0,
        tls_certificate=pair.certificate,
        tls_key=pair.key,
        tls_client_ca=authority.certificate,
    )
    async with app.running(settings) as at:
        async with httpx.AsyncClient(base_url=f"https://{at.http}", verify=certified, trust_env=False) as client:
            assert (await client.get("/v1/catalog")).status_code == 200
        async with httpx.AsyncClient(base_url=f"https://{at.http}", verify=trusting, trust_env=False) as client:
            with pytest.raises(httpx.TransportError):
                await client.get("/v1/catalog")
    assert asked == [("spiffe://library/reader", "reader")]


async def test_a_tls_handshake_that_does_not_come_closes_the_connection(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    pair = Authority(tmp_path).issue("server", "127.0.0.1")
    settings = Settings(
        engine="127.0.0.1:1",
        model_repository=repository,
        port=0,
        metrics_port=0,
        http_port=0,
        drain_seconds=0,
        tls_certificate=pair.certificate,
        tls_key=pair.key,
    )
    async with app.running(settings) as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(at.http.rpartition(":")[2]))
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()
