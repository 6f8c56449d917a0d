# SPDX-License-Identifier: Apache-2.0
"""The keys of a gateway: all of the ledger's, in memory, read again soon after any of them has changed."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress
from typing import Self

from imagier_server.call import Identity
from imagier_server.errors import LedgerUnavailableError, UnauthenticatedError
from imagier_server.ledger import keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keys import Key
from imagier_server.logs import log

_LOOK_SECONDS = 1.0
"""Between two looks at the ledger: how long a revoked key may still be accepted."""
_HURRY_SECONDS = 0.2
"""Between two looks when unknown keys come: how long a new key may have to wait."""
_TRUST_SECONDS = 30.0
"""Without the ledger, keys are accepted for so long."""
_RECENT_SECONDS = 30 * keys.DAY
_REFUSED = "the key is wrong, expired or revoked"


class Keyring:
    """Identifies callers by keys. Hot path: a dictionary and a SHA-256.

    `clock` (monotonic) and `now` (wall) are times in seconds.
    """

    def __init__(
        self,
        database: Database,
        threads: Executor,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._threads = threads
        self._clock = clock
        self._now = now
        self._keys: Mapping[str, Key] = {}
        self._certificates: Mapping[str, Key] = {}
        self._changes = -1
        self._read_at = 0.0
        self._away = False
        self._hurry = asyncio.Event()
        self._begun = self._ended = 0  # looks
        self._looked = asyncio.Condition()

    @asynccontextmanager
    async def following(self) -> AsyncIterator[Self]:
        """Follow the ledger's changes. Raises `DatabaseError` if it cannot be read at first."""
        await self.refresh()
        following = asyncio.create_task(self._follow())
        try:
            yield self
        finally:
            following.cancel()

    async def identify(self, secret: str) -> Identity:
        """Whose key it is. Raises `UnauthenticatedError`; `LedgerUnavailableError` if the ledger is away for too long."""
        key_id = keys.parse(secret)
        if key_id is None:
            raise UnauthenticatedError("the key is malformed: it is img_, an id, _ and 64 hexadecimal digits")
        key = self._keys.get(key_id)
        if key is None:
            await self._next_look()  # it may be new
            key = self._keys.get(key_id)
        if key is None or key.digest is None or not hmac.compare_digest(key.digest, keys.digest(secret)):
            raise UnauthenticatedError(_REFUSED)
        return self._accepted(key)

    async def certified(self, names: Sequence[str]) -> Identity | None:
        """Who has a verified client certificate with these names; None if nobody has. Raises as `identify`."""
        key = next((self._certificates[name] for name in names if name in self._certificates), None)
        return self._accepted(key) if key else None

    async def check(self, identity: Identity) -> None:
        """Raises `UnauthenticatedError` if the key is valid no longer."""
        key = self._keys.get(identity.key_id)
        if key is None:
            raise UnauthenticatedError(_REFUSED)
        self._accepted(key)

    async def refresh(self) -> None:
        """Read the keys if any has changed. Raises `DatabaseError`."""
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._read, self._changes)
        if found is not None:
            self._changes, every = found
            self._keys = {key.identity.key_id: key for key in every}
            self._certificates = {key.certificate: key for key in every if key.certificate is not None}
        self._read_at = self._clock()

    def _accepted(self, key: Key) -> Identity:
        if not key.valid(self._now()):
            raise UnauthenticatedError(_REFUSED)
        if self._clock() - self._read_at > _TRUST_SECONDS:
            raise LedgerUnavailableError
        return key.identity

    def _read(self, known: int) -> tuple[int, list[Key]] | None:
        with self._database.reading() as connection:
            changes = keys.changes(connection)
            if changes == known:
                return None
            # Some that have expired, too: the clock may be wrong, and be put right.
            return changes, keys.listed(connection, accepted_at=int(self._now()) - _RECENT_SECONDS)

    async def _follow(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._hurry.wait()
                    await asyncio.sleep(_HURRY_SECONDS)
            self._hurry.clear()
            self._begun += 1
            await self._look()
            async with self._looked:
                self._ended = self._begun
                self._looked.notify_all()

    async def _look(self) -> None:
        try:
            await self.refresh()
            self._away = False
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look may succeed
            if not self._away:
                log(logging.WARNING, "keys cannot be read", error=type(error).__name__)
            self._away = True

    async def _next_look(self) -> None:
        """Wait for a look that begins from now on. Raises `LedgerUnavailableError` if it fails."""
        look = self._begun + 1
        self._hurry.set()
        async with self._looked:
            await self._looked.wait_for(lambda: self._ended >= look)
        if self._away:
            raise LedgerUnavailableError
