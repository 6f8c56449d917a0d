# SPDX-License-Identifier: Apache-2.0
"""Where the engines are: a setting's hosts, looked up again and again, for replicas come and go behind a name."""

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
"""Host → its IP addresses. Raises OSError if there are none, UnicodeError for what cannot be a name."""

_LEAST_SECONDS = 0.2  # between two look-ups, however often somebody asks for one


@dataclass(frozen=True, slots=True)
class Target:
    """A host's name or IP address, and a port."""

    host: str
    port: int


def parse(setting: str) -> tuple[Target, ...]:
    """The targets of 'HOST:PORT', 'dns:///HOST:PORT', or several with commas between. Checked before, by the setting's pattern."""
    parts = (part.removeprefix("dns:///").rpartition(":") for part in setting.split(","))
    return tuple(Target(host.strip("[]"), int(port)) for host, _, port in parts)


async def look_up(host: str) -> Collection[str]:
    """The host's IPv4 addresses; its IPv6 ones if it has no other, or each engine of two families would count twice."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    by_family = {family: {str(where[0]) for kind, *_, where in found if kind == family} for family, *_ in found}
    return by_family.get(socket.AF_INET) or by_family.get(socket.AF_INET6, set())


class Resolver:
    """The addresses of some targets as of the last look. A host that cannot be looked up keeps those it had."""

    def __init__(self, targets: Iterable[Target], lookup: Lookup = look_up) -> None:
        self._found: dict[Target, frozenset[str]] = dict.fromkeys(targets, frozenset())
        self._lookup = lookup

    async def resolve(self) -> frozenset[str]:
        """Looks all of them up. 'IP:PORT' each, '[IP]:PORT' for IPv6."""
        await asyncio.gather(*(self._resolve(target) for target in self._found))
        return frozenset[str]().union(*self._found.values())

    async def _resolve(self, target: Target) -> None:
        try:
            found = await self._lookup(target.host)
            addresses = [f"[{each}]" if ip_address(each).version == 6 else each for each in found]
        except Exception as error:  # noqa: BLE001 - whatever it is, the other hosts are followed
            log(logging.WARNING, "engine address not found", host=target.host, error=type(error).__name__)
            return
        self._found[target] = frozenset(f"{address}:{target.port}" for address in addresses)


@asynccontextmanager
async def following(
    resolver: Resolver, use: Callable[[Collection[str]], None], *, seconds: float, again: asyncio.Event
) -> AsyncIterator[None]:
    """Hands the addresses to `use` at once, every `seconds`, and soon after `again` is set; for the time of the `async with`."""

    async def follow() -> None:
        while True:
            again.clear()
            try:
                use(await resolver.resolve())
            except Exception:
                # An error that nobody foresaw must not be the last look.
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
