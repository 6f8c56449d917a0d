# SPDX-License-Identifier: Apache-2.0
"""Resolves the hosts of the setting `engine` periodically, because replicas come and go behind a name."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address

from imagier_server.logs import log, logger

Lookup = Callable[[str], Awaitable[Collection[str]]]
"""Host → its IP addresses. Raises OSError if there are none, UnicodeError for an invalid name."""

_LEAST_SECONDS = 0.2  # between two look-ups, however often one is requested


@dataclass(frozen=True, slots=True)
class Target:
    """A host's name or IP address, and a port."""

    host: str
    port: int


def parse(setting: str) -> tuple[Target, ...]:
    """Parse 'HOST:PORT' or 'dns:///HOST:PORT', or several separated by commas; the setting has validated them."""
    parts = (part.removeprefix("dns:///").rpartition(":") for part in setting.split(","))
    return tuple(Target(host.strip("[]"), int(port)) for host, _, port in parts)


async def look_up(host: str) -> Collection[str]:
    """Resolve the host's IPv4 addresses, or IPv6 if it has no IPv4: an engine with both would count twice."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    by_family = {family: {str(where[0]) for kind, *_, where in found if kind == family} for family, *_ in found}
    return by_family.get(socket.AF_INET) or by_family.get(socket.AF_INET6, set())


class Resolver:
    """The latest addresses of some targets. A host whose look-up fails keeps its previous addresses."""

    def __init__(self, targets: Iterable[Target], lookup: Lookup = look_up) -> None:
        self._found: dict[Target, frozenset[str]] = dict.fromkeys(targets, frozenset())
        self._lookup = lookup

    async def resolve(self) -> frozenset[str]:
        """Resolve all targets to 'IP:PORT', or '[IP]:PORT' for IPv6."""
        await asyncio.gather(*(self._resolve(target) for target in self._found))
        return frozenset[str]().union(*self._found.values())

    async def _resolve(self, target: Target) -> None:
        try:
            found = await self._lookup(target.host)
            addresses = [f"[{each}]" if ip_address(each).version == 6 else each for each in found]
        except Exception as error:  # noqa: BLE001 - one host must not stop the others
            log(logging.WARNING, "engine address not found", host=target.host, error=type(error).__name__)
            return
        self._found[target] = frozenset(f"{address}:{target.port}" for address in addresses)


@asynccontextmanager
async def following(
    resolver: Resolver, use: Callable[[Collection[str]], None], *, seconds: float, again: asyncio.Event
) -> AsyncIterator[None]:
    """Call `use` with the addresses at once, every `seconds` and soon after `again` is set, until the `async with` ends."""

    async def follow() -> None:
        while True:
            again.clear()
            try:
                use(await resolver.resolve())
            except Exception:
                # An unexpected error must not end the loop.
                logger.exception("engine addresses not taken")
            await asyncio.sleep(_LEAST_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await again.wait()

    follower = asyncio.create_task(follow())
    try:
        yield
    finally:
        follower.cancel()
        with suppress(asyncio.CancelledError):
            await follower
