# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from imagier_server.call import TASKS, Identity, Lane
from imagier_server.errors import UnauthenticatedError
from imagier_server.transport.credentials import Credentials
from imagier_server.transport.grpc.calls import call_of, identified


class Keyring:
    """Every secret is a key of a tenant of the same name."""

    async def identify(self, secret: str) -> Identity:
        await asyncio.sleep(0)  # others run meanwhile
        return Identity("k1", secret, frozenset({TASKS}))

    async def certified(self, names: Sequence[str]) -> None: ...


class Context:
    def __init__(self, *metadata: tuple[str, str], **certificate: list[bytes]) -> None:
        self._metadata = metadata
        self._certificate = certificate

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    def peer(self) -> str:
        return "ipv4:10.0.0.1:5"

    def time_remaining(self) -> None: ...

    def auth_context(self) -> dict[str, list[bytes]]:
        return self._certificate


async def test_calls_at_the_same_time_keep_their_own_identities() -> None:
    async def one(name: str) -> None:
        context: Any = Context(("x-api-key", name), ("idempotency-key", f"try of {name}"))
        caller = await identified(Credentials(Keyring()), context)
        call = call_of(context, Lane.BULK)
        assert call.identity
        assert (call.identity.tenant, call.idempotency_key, call.caller) == (name, f"try of {name}", caller)
        assert caller.group == f"tenant {name}"

    await asyncio.gather(one("library"), one("archive"))


async def test_without_keys_nobody_calls_from_an_address() -> None:
    context: Any = Context(("x-api-key", "anything"))
    caller = await identified(Credentials(), context)
    assert call_of(context, Lane.BULK).identity is None
    assert (caller.group, caller.member) == ("10.0.0.1", "ipv4:10.0.0.1:5")


async def test_a_certificate_is_called_by_its_alternative_names_first() -> None:
    context: Any = Context(
        x509_common_name=[b"reader"],
        x509_subject_alternative_name=[b"spiffe://library/reader", b"reader.example"],
    )
    caller = await identified(Credentials(), context)
    identity = call_of(context, Lane.BULK).identity
    assert identity
    assert (identity.tenant, identity.scopes) == ("spiffe://library/reader", {TASKS})
    assert caller.group == "tenant spiffe://library/reader"
    named: Any = Context(x509_common_name=[b"reader"])
    assert (await identified(Credentials(), named)).group == "tenant reader"


async def test_a_call_without_a_key_is_refused() -> None:
    with pytest.raises(UnauthenticatedError):
        await identified(Credentials(Keyring()), Context())
