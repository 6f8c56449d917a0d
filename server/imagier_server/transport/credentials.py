# SPDX-License-Identifier: Apache-2.0
"""Finds who calls by a call's headers, whatever the transport, and reads its idempotency key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from imagier_server.call import TASKS, Identity
from imagier_server.errors import InvalidRequestError, UnauthenticatedError

IDEMPOTENCY_KEY = "idempotency-key"
"""The name in metadata and, in any case, of the HTTP header."""
MAX_IDEMPOTENCY_KEY = 128

Headers = Iterable[tuple[str, str | bytes]]
"""Names in lower case, as in gRPC's metadata."""


class Keyring(Protocol):
    """The keys of a server."""

    async def identify(self, secret: str) -> Identity:
        """Whose key it is. Raises `UnauthenticatedError`."""
        ...

    async def certified(self, names: Sequence[str]) -> Identity | None:
        """Who has a verified client certificate with these names; None if nobody has."""
        ...


@dataclass(frozen=True, slots=True)
class Credentials:
    """Identifies callers by `keyring`. Without one, a caller is the tenant that its certificate names first, or nobody (None)."""

    keyring: Keyring | None = None

    async def identify(self, headers: Headers, certificate_names: Sequence[str] = ()) -> Identity | None:
        """The caller by `authorization: Bearer` or `x-api-key`, else by its certificate. Raises `UnauthenticatedError`.

        `certificate_names` are those of a certificate that was verified: alternative names in order, then the common name.
        """
        if self.keyring is None:
            return _tenant(certificate_names[0]) if certificate_names else None
        secret = bearer(headers)
        if not secret and certificate_names and (found := await self.keyring.certified(certificate_names)):
            return found
        return await self.identify_secret(secret)

    async def identify_secret(self, secret: str) -> Identity | None:
        """The caller by a key that came in another way. Raises `UnauthenticatedError`."""
        if self.keyring is None:
            return None
        if not secret:
            raise UnauthenticatedError("this server needs a key: send it as 'authorization: Bearer …' or 'x-api-key'")
        return await self.keyring.identify(secret)


def _tenant(name: str) -> Identity:
    return Identity(f"certificate {name}", name, frozenset({TASKS}))


def bearer(headers: Headers) -> str:
    """The key that the headers hold; empty if none."""
    found = ""
    for name, value in headers:
        if name == "authorization":
            scheme, _, secret = _text(value).strip().partition(" ")
            if scheme.lower() == "bearer" and secret:
                return secret.strip()
        elif name == "x-api-key":
            found = _text(value).strip()
    return found


def idempotency_key(headers: Headers) -> str:
    """The idempotency key that the headers hold; empty if none. Raises `InvalidRequestError`."""
    key = next((_text(value) for name, value in headers if name == IDEMPOTENCY_KEY), "")
    if len(key) > MAX_IDEMPOTENCY_KEY:
        raise InvalidRequestError(f"the idempotency key is longer than {MAX_IDEMPOTENCY_KEY} characters")
    return key


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
