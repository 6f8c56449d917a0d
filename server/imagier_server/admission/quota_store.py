# SPDX-License-Identifier: Apache-2.0
"""Connects to the Valkey or Redis in which several gateways count their quotas together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from limits.aio.storage import RedisStorage, Storage

from imagier_server.endpoints import QUOTA_STORES

_CONNECTIONS = 64
_SECONDS = 0.5  # to connect, and for an answer


@asynccontextmanager
async def quota_store(url: str) -> AsyncIterator[Storage]:
    """The store at a URL, which need not answer yet. Raises ImportError that says what to install."""
    try:
        from valkey.asyncio import BlockingConnectionPool  # noqa: PLC0415 - an extra that most installations lack
    except ImportError as error:
        raise ImportError("a quota store is asked for: install imagier[valkey]") from error
    url = urlsplit(url)._replace(scheme=QUOTA_STORES[urlsplit(url).scheme]).geturl()
    pool = BlockingConnectionPool.from_url(
        url, max_connections=_CONNECTIONS, timeout=_SECONDS, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS
    )
    try:
        yield RedisStorage(
            f"async+{url}",
            implementation="valkey",
            key_prefix="imagier",
            connection_pool=pool,  # type: ignore[arg-type]  # documented, and missing in its type
        )
    finally:
        await pool.aclose()
