# SPDX-License-Identifier: Apache-2.0
"""TLS and client certificates on a running gateway, and their rotation without a restart."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from imagier_client import AsyncClient, Client, RetryPolicy, Tags, UnavailableError, tls
from imagier_server import app
from imagier_server.call import Identity
from imagier_server.settings import Settings
from imagier_server.transport.credentials import Credentials
from support import command_run
from support.fake_triton import FakeTriton, serving
from support.made_certificates import Authority, Pair
from support.running_gateway import picture

ONCE = RetryPolicy(max_attempts=1, patience=0)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue("server-1", "127.0.0.1", file="server")


@pytest.fixture
async def settings(repository: Path, fake: FakeTriton, pair: Pair) -> AsyncIterator[Settings]:
    async with serving(fake) as port:
        yield Settings(
            engine=f"127.0.0.1:{port}",
            model_repository=repository,
            port=0,
            metrics_port=0,
            drain_seconds=0,
            tls_certificate=pair.certificate,
            tls_key=pair.key,
        )


def serial(address: str, authority: Authority) -> int:
    """The serial number of the certificate that a new connection is shown."""
    context = ssl.create_default_context(cafile=authority.certificate)
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), 5) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        return int(secure.getpeercert()["serialNumber"], 16)


async def test_both_clients_and_the_command_over_tls(
    settings: Settings, authority: Authority, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, ca = picture(), authority.certificate
    file = tmp_path / "photo.jpg"
    file.write_bytes(image)
    async with app.running(settings) as at:
        async with AsyncClient(at.grpc, credentials=tls(ca)) as client:
            await client.wait_ready(timeout=10)
            assert (await client.annotate(image, Tags())).tags.error is None
        with Client(at.grpc, credentials=tls(ca)) as blocking:
            assert (await asyncio.to_thread(blocking.annotate, image, Tags())).tags.error is None
        flags = ("--server", at.grpc, "--tls-ca", str(ca), "--tasks", "tags", "--format", "jsonl")
        assert await command_run.run(file, *flags) == 0
        assert '"tags"' in capsys.readouterr().out
        async with AsyncClient(at.grpc, retry=ONCE) as plain:
            with pytest.raises(UnavailableError):
                await plain.annotate(image, Tags())


async def test_another_certificate_is_a_permanent_fault(settings: Settings, tmp_path: Path, pair: Pair) -> None:
    others = Authority(tmp_path, "others")
    async with app.running(settings) as at, AsyncClient(at.grpc, credentials=tls(others.certificate)) as client:
        with pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED") as raised:
            await client.catalog()
        assert not raised.value.retryable


async def test_a_new_certificate_is_shown_to_the_next_connection(
    settings: Settings, authority: Authority, pair: Pair
) -> None:
    async with app.running(settings) as at, AsyncClient(at.grpc, credentials=tls(authority.certificate)) as client:
        await client.wait_ready(timeout=10)
        first = await asyncio.to_thread(serial, at.grpc, authority)
        authority.issue("server-2", "127.0.0.1", file="new").move_to(pair)
        second = await asyncio.to_thread(serial, at.grpc, authority)
        assert second != first
        assert await asyncio.to_thread(serial, at.grpc, authority) == second
        assert (await client.annotate(picture(), Tags())).tags.error is None, "on the connection of before"


async def test_client_certificates(
    settings: Settings, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients, others = Authority(tmp_path, "clients"), Authority(tmp_path, "others")
    good, foreign = clients.issue("reader", uris=("spiffe://library/reader",)), others.issue("stranger")
    tenants = []

    async def identify(self: Credentials, *given: Any) -> Identity | None:
        found = await identify_before(self, *given)
        tenants.append(found and found.tenant)
        return found

    identify_before = Credentials.identify
    monkeypatch.setattr(Credentials, "identify", identify)
    settings = settings.model_copy(update={"tls_client_ca": clients.certificate})
    ca = authority.certificate

    async def asked(credentials: grpc.ChannelCredentials) -> None:
        async with AsyncClient(at.grpc, credentials=credentials, retry=ONCE) as client:
            await client.catalog()

    async with app.running(settings) as at:
        await asked(tls(ca, good.certificate, good.key))
        for refused in (tls(ca), tls(ca, foreign.certificate, foreign.key)):
            with pytest.raises(UnavailableError):
                await asked(refused)
        assert tenants == ["spiffe://library/reader"]
        others.certificate.replace(clients.certificate)
        await asked(tls(ca, foreign.certificate, foreign.key))
        with pytest.raises(UnavailableError):
            await asked(tls(ca, good.certificate, good.key))
        assert tenants == ["spiffe://library/reader", "stranger"]


async def test_an_open_server_says_so(settings: Settings, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    async with app.running(settings):
        pass
    assert len([record for record in caplog.records if record.getMessage().startswith("open: ")]) == 1
    caplog.clear()
    closed = settings.model_copy(update={"tls_client_ca": settings.tls_certificate})
    async with app.running(closed):
        pass
    assert not [record for record in caplog.records if record.getMessage().startswith("open: ")]
