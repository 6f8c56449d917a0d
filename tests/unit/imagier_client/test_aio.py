# SPDX-License-Identifier: Apache-2.0
"""What can be said of the asyncio client without a server; the rest is proved before a real one."""

from __future__ import annotations

import asyncio

import imagier_client
from imagier_client import AsyncClient


def test_a_client_can_be_made_before_there_is_an_event_loop() -> None:
    client = AsyncClient("host.invalid:1")

    async def use() -> AsyncClient:
        async with client as entered:
            return entered

    assert asyncio.run(use()) is client
    # And used again, in another loop.
    assert asyncio.run(use()) is client


def test_everything_public_is_there() -> None:
    assert sorted(imagier_client.__all__) == imagier_client.__all__
    assert all(hasattr(imagier_client, name) for name in imagier_client.__all__)
