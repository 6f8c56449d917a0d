# SPDX-License-Identifier: Apache-2.0
"""A Piwigo with the plugin Piwigo AI, as far as a server sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx2 as httpx
from imagier_server.ledger import keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Wish

from support.fake_triton import FakeTriton, serving
from support.running_gateway import Gateway, gateway, picture

CREDITS = 1000
PHOTO = picture()


class Piwigo:
    """Calls as the plugin makes them."""

    def __init__(
        self, http: httpx.AsyncClient, secret: str, version: str = "0.0.4beta", running: Gateway | None = None
    ) -> None:
        self.http = http
        self.secret = secret
        self.running = running
        self.headers = {"x-api-key": secret, "x-plugin-version": version, "user-agent": "PiwigoAI"}

    async def analyze(self, photo: bytes | None = PHOTO, **fields: str) -> dict[str, Any]:
        """The fields that PHP's curl sends: true is 1, false is empty."""
        form = {"callback": "", "caption": "1", "tagging": "1", "ocr": "1", "language": "fr_FR"} | fields
        files: dict[str, Any] = {name: (None, value) for name, value in form.items()}
        if photo is not None:
            files["image"] = ("IMG_0042 été.jpg", photo, "image/jpeg")
        answer = await self.http.post("/piwigo/analyze", files=files, headers=self.headers)
        said = answer.json()
        assert answer.status_code == said.get("status", 200)
        return dict(said)

    async def get(self, what: str) -> dict[str, Any]:
        return dict((await self.http.get(f"/piwigo/{what}", headers=self.headers)).json())

    async def post(self, what: str, value: object) -> dict[str, Any]:
        return dict((await self.http.post(f"/piwigo/{what}", json=value, headers=self.headers)).json())

    async def collect(self, count: int = 1) -> list[dict[str, Any]]:
        """Ask for tickets until so many have come."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            while len(found) < count:
                found += (await self.get("tickets"))["tickets"]
        return found

    async def has(self, credits_left: int) -> None:
        """Wait until so many are left and none is reserved."""
        async with asyncio.timeout(30):
            while (await self.get("credits"))["credits"] != credits_left:
                pass


def made_key(where: str, *callbacks: str, scopes: tuple[str, ...] = ("tasks",)) -> str:
    """A key with credits, in a ledger that may be new."""
    with closing(Database(where)) as made:
        made.migrate()
        with made.writing() as connection:
            return keys.create(connection, Wish("library", scopes, allowance=CREDITS, callbacks=callbacks))[1]


@asynccontextmanager
async def piwigo(
    repository: Path,
    fake: FakeTriton,
    folder: Path,
    *callbacks: str,
    version: str = "0.0.4beta",
    metrics_port: int = 0,
    **settings: Any,
) -> AsyncIterator[Piwigo]:
    """A gateway with the façade, and a Piwigo that has a key."""
    where = str(folder / "ledger.db")
    secret = made_key(where, *callbacks)
    async with (
        serving(fake) as engine,
        gateway(repository, engine, metrics_port, ledger=where, http_facades="piwigo", **settings) as running,
        httpx.AsyncClient(base_url=running.http, trust_env=False, timeout=30) as client,
    ):
        await running.until(ready=True)
        yield Piwigo(client, secret, version, running)
