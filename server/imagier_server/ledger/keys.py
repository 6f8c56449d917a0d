# SPDX-License-Identifier: Apache-2.0
"""API keys: made, listed, revoked and rotated. The ledger holds their digests only. Blocking."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row, func, insert, or_, select, update

from imagier_server import endpoints, moving_windows
from imagier_server.call import TASKS, Identity, KeyLimits
from imagier_server.ledger.accounts import Kind, grant, open_account
from imagier_server.ledger.database import LedgerError
from imagier_server.ledger.schema import key_changes, keys

_ID_BYTES = 6
_SECRET_BYTES = 32
_SHAPE = re.compile(rf"img_([0-9a-f]{{{2 * _ID_BYTES}}})_[0-9a-f]{{{2 * _SECRET_BYTES}}}")
_SCOPE = re.compile(r"[a-z][a-z0-9_]{0,62}")

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the ledger knows it. `digest`: SHA-256; None if a certificate with the name `certificate` stands for it.

    Times in seconds since 1970; None: never.
    """

    identity: Identity
    created: int
    digest: bytes | None = None
    certificate: str | None = None
    expires: int | None = None
    revoked: int | None = None

    def valid(self, now: float) -> bool:
        """Whether it is accepted at a time."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def parse(secret: str) -> str | None:
    """The id in a key; None if it is not shaped like one."""
    shaped = _SHAPE.fullmatch(secret)
    return shaped and shaped[1]


def digest(secret: str) -> bytes:
    """What the ledger holds of a key. A fast hash is enough: the key has 256 random bits."""
    return sha256(secret.encode()).digest()


@dataclass(frozen=True, slots=True)
class Wish:
    """What a new key should be. `allowance`: free credits that come with it. Other fields as in `Key` and `Identity`."""

    tenant: str
    scopes: tuple[str, ...] = (TASKS,)
    limits: KeyLimits = field(default_factory=KeyLimits)
    expires: int | None = None
    certificate: str | None = None
    allowance: int = 0
    callbacks: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises `LedgerError` for a wrong name, number or origin."""
        if not self.scopes or not all(map(_SCOPE.fullmatch, self.scopes)):
            raise LedgerError("a key needs scopes: tasks' names, 'tasks' for every task, or 'admin'")
        if self.certificate is not None and not self.certificate.strip():
            raise LedgerError("a certificate is known by a name in it")
        try:
            moving_windows.checked(self.limits.pictures or None)  # "": no limit, whatever the server's
        except ValueError as error:
            raise LedgerError(f"pictures: {error}") from None
        for limit in (self.limits.in_flight, self.limits.in_flight_bytes):
            if limit is not None and limit < 1:
                raise LedgerError("a limit is a whole number from 1")
        if self.allowance < 0:
            raise LedgerError("an allowance is a whole number from 0")
        for each in self.callbacks:
            try:
                if endpoints.origin(each) != each:
                    raise ValueError("write the origin alone, as in https://photos.example.org")
            except ValueError as error:
                raise LedgerError(f"callback origin: {error}") from None


def create(connection: Connection, wish: Wish) -> tuple[Key, str]:
    """Make a key, and its tenant's account if need be; return it with its secret ("" if a certificate stands for it).

    Raises `LedgerError` for a wrong name or number.
    """
    wish.check()
    open_account(connection, wish.tenant)
    secret = ""
    key_id = secrets.token_hex(_ID_BYTES)
    if wish.certificate is None:
        secret = f"img_{key_id}_{secrets.token_hex(_SECRET_BYTES)}"
    elif connection.scalar(select(keys.c.id).where(keys.c.certificate == wish.certificate)):
        raise LedgerError("another key has this certificate")
    made = Key(
        Identity(key_id, wish.tenant, frozenset(wish.scopes), wish.limits, wish.callbacks),
        int(time.time()),
        digest(secret) if secret else None,
        wish.certificate,
        wish.expires,
    )
    _insert(connection, made)
    if wish.allowance:
        grant(connection, wish.tenant, wish.allowance, Kind.ALLOWANCE, reference=f"allowance {key_id}")
    return made, secret


def revoke(connection: Connection, key_id: str) -> None:
    """Refuse a key from now on. Raises `LedgerError` if there is none."""
    _update(connection, key_id, revoked=func.coalesce(keys.c.revoked, int(time.time())))


def rotate(connection: Connection, key_id: str, grace: float = DAY) -> tuple[Key, str]:
    """Make a key like another one, which is accepted for `grace` more seconds. Raises `LedgerError` if there is none."""
    old = find(connection, key_id)
    now = int(time.time())
    if old.certificate is not None:
        raise LedgerError("a certificate stands for this key: renew the certificate under the same name")
    if not old.valid(now):
        raise LedgerError("the key is expired or revoked: create another one")
    who = old.identity
    wish = Wish(who.tenant, tuple(sorted(who.scopes)), who.limits, old.expires, callbacks=who.callbacks)
    made, secret = create(connection, wish)
    ends = now + int(grace)
    _update(connection, key_id, expires=ends if old.expires is None else min(ends, old.expires))
    return made, secret


def find(connection: Connection, key_id: str) -> Key:
    """The key with an id. Raises `LedgerError` if there is none."""
    row = connection.execute(select(keys).where(keys.c.id == key_id)).one_or_none()
    if row is None:
        raise LedgerError("there is no key with this id: see `imagier keys list`")
    return _key(row)


def listed(connection: Connection, tenant: str | None = None, accepted_at: int | None = None) -> list[Key]:
    """Keys by age: all, or a tenant's, or those that are not revoked and not expired at a time."""
    query = select(keys).order_by(keys.c.created, keys.c.id)
    if tenant is not None:
        query = query.where(keys.c.tenant == tenant)
    if accepted_at is not None:
        query = query.where(keys.c.revoked.is_(None), or_(keys.c.expires.is_(None), keys.c.expires > accepted_at))
    return [_key(row) for row in connection.execute(query)]


def changes(connection: Connection) -> int:
    """A number that is another one after every change of a key."""
    number: int = connection.execute(select(key_changes.c.number)).scalar_one()
    return number


def _insert(connection: Connection, key: Key) -> None:
    who = key.identity
    connection.execute(
        insert(keys).values(
            id=who.key_id,
            tenant=who.tenant,
            digest=key.digest,
            certificate=key.certificate,
            scopes=" ".join(sorted(who.scopes)),
            pictures=who.limits.pictures,
            in_flight=who.limits.in_flight,
            in_flight_bytes=who.limits.in_flight_bytes,
            callbacks=" ".join(who.callbacks),
            created=key.created,
            expires=key.expires,
        )
    )
    _changed(connection)


def _update(connection: Connection, key_id: str, **values: object) -> None:
    find(connection, key_id)
    connection.execute(update(keys).where(keys.c.id == key_id).values(**values))
    _changed(connection)


def _changed(connection: Connection) -> None:
    connection.execute(update(key_changes).values(number=key_changes.c.number + 1))


def _key(row: Row[Any]) -> Key:
    return Key(
        Identity(
            row.id,
            row.tenant,
            frozenset(row.scopes.split()),
            KeyLimits(row.pictures, row.in_flight, row.in_flight_bytes),
            tuple(row.callbacks.split()),
        ),
        row.created,
        row.digest,
        row.certificate,
        row.expires,
        row.revoked,
    )
