# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from imagier_server.call import KeyLimits
from imagier_server.errors import LedgerUnavailableError, UnauthenticatedError
from imagier_server.ledger import keys
from imagier_server.ledger.database import Database
from imagier_server.ledger.keyring import Keyring
from imagier_server.ledger.keys import Key, Wish
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError


class Clocks:
    """Monotonic and wall time of a gateway."""

    def __init__(self) -> None:
        self.monotonic = 0.0
        self.wall = 1_800_000_000.0


class Away(Database):
    """A database that may be away."""

    away = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        if self.away:
            raise OperationalError("", {}, ConnectionError())
        with super().reading() as connection:
            yield connection


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def ledger(database: Database) -> Away:
    return Away(database.where)


@pytest.fixture
async def keyring(ledger: Away, clocks: Clocks) -> AsyncIterator[Keyring]:
    with ThreadPoolExecutor(1) as threads:
        made = Keyring(ledger, threads, lambda: clocks.monotonic, lambda: clocks.wall)
        async with made.following():
            yield made
    ledger.close()


def made(database: Database, wish: Wish) -> tuple[Key, str]:
    with database.writing() as connection:
        return keys.create(connection, wish)


async def test_a_new_key_works_at_once_and_says_whose_it_is(keyring: Keyring, ledger: Away) -> None:
    limits = KeyLimits("500 per 4 hours", 8, 1 << 20)
    key, secret = made(ledger, Wish("library", ("tags",), limits))
    identity = await keyring.identify(secret)
    assert identity == key.identity
    assert (identity.tenant, identity.scopes, identity.limits) == ("library", {"tags"}, limits)
    await keyring.check(identity)


async def test_a_revoked_key_is_refused_soon(keyring: Keyring, ledger: Away) -> None:
    key, secret = made(ledger, Wish("library"))
    identity = await keyring.identify(secret)
    with ledger.writing() as connection:
        keys.revoke(connection, key.identity.key_id)

    async def refused() -> None:
        while True:
            await keyring.check(identity)
            await asyncio.sleep(0)

    async with asyncio.timeout(30):
        with pytest.raises(UnauthenticatedError):
            await refused()
    with pytest.raises(UnauthenticatedError):
        await keyring.identify(secret)


async def test_an_expired_key_is_refused_even_if_the_clock_jumps_there_and_back(
    keyring: Keyring, ledger: Away, clocks: Clocks
) -> None:
    _, secret = made(ledger, Wish("library", expires=int(clocks.wall) + 60))
    await keyring.identify(secret)
    clocks.wall += 61
    with pytest.raises(UnauthenticatedError):
        await keyring.identify(secret)
    made(ledger, Wish("another"))  # all keys are read again
    await keyring.refresh()
    clocks.wall -= 61
    await keyring.identify(secret)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "img_",
        "Bearer x",
        "img_" + "0" * 12 + "_" + "0" * 64,
        "img_" + "0" * 12 + "_" + "0" * 65,
        "IMG_" + "0" * 12 + "_" + "0" * 64,
        "img_" + "é" * 12 + "_" + "0" * 64,
        "\x00" * 80,
        "x" * 10_000,
    ],
)
async def test_a_wrong_key_is_refused(keyring: Keyring, ledger: Away, wrong: str) -> None:
    made(ledger, Wish("library"))
    with pytest.raises(UnauthenticatedError) as caught:
        await keyring.identify(wrong)
    assert "library" not in str(caught.value)
    assert caught.value.retry_after is None


async def test_a_right_id_with_a_wrong_secret_is_refused(keyring: Keyring, ledger: Away) -> None:
    _, secret = made(ledger, Wish("library"))
    _, other = made(ledger, Wish("library"))
    await keyring.identify(secret)
    wrong = secret[: -len("0" * 64)] + other[-len("0" * 64) :]
    with pytest.raises(UnauthenticatedError):
        await keyring.identify(wrong)


async def test_a_certificate_stands_for_a_key(keyring: Keyring, ledger: Away) -> None:
    key, _ = made(ledger, Wish("library", certificate="gateway.example"))
    await keyring.refresh()
    assert await keyring.certified(("other.example", "gateway.example")) == key.identity
    assert await keyring.certified(("other.example",)) is None
    with pytest.raises(UnauthenticatedError):
        await keyring.identify(f"img_{key.identity.key_id}_{'0' * 64}")


async def test_without_the_ledger_known_keys_are_trusted_for_a_while_and_new_ones_are_asked_to_wait(
    keyring: Keyring, ledger: Away, clocks: Clocks
) -> None:
    _, known = made(ledger, Wish("library"))
    await keyring.identify(known)
    ledger.away = True
    _, new = made(ledger, Wish("library"))
    await keyring.identify(known)
    with pytest.raises(LedgerUnavailableError) as caught:
        await keyring.identify(new)
    assert caught.value.retry_after
    clocks.monotonic += 31
    with pytest.raises(LedgerUnavailableError):
        await keyring.identify(known)
    ledger.away = False
    await keyring.identify(new)
    await keyring.identify(known)
