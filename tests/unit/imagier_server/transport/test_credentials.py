# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence

import pytest
from imagier_server.call import TASKS, Identity
from imagier_server.errors import InvalidRequestError, UnauthenticatedError
from imagier_server.transport.credentials import MAX_IDEMPOTENCY_KEY, Credentials, bearer, idempotency_key


class Keyring:
    """Every secret is a key of a tenant of the same name."""

    async def identify(self, secret: str) -> Identity:
        return Identity("k1", secret, frozenset({TASKS}))

    async def certified(self, names: Sequence[str]) -> Identity | None:
        return Identity("k2", "certified", frozenset({TASKS})) if "gateway.example" in names else None


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ([("authorization", "Bearer img_1_a")], "img_1_a"),
        ([("authorization", "bearer  img_1_a ")], "img_1_a"),
        ([("authorization", b"Bearer img_1_a")], "img_1_a"),
        ([("x-api-key", "img_1_a")], "img_1_a"),
        ([("x-api-key", "img_1_a"), ("authorization", "Bearer img_2_b")], "img_2_b"),
        ([("x-api-key", "img_1_a"), ("authorization", "Basic dTpw")], "img_1_a"),
        ([("authorization", "Basic dTpw")], ""),
        ([("authorization", "Bearer")], ""),
        ([("authorization", "img_1_a")], ""),
        ([("user-agent", "grpc")], ""),
        ([], ""),
    ],
)
def test_a_key_is_in_either_header(headers: list[tuple[str, str | bytes]], secret: str) -> None:
    assert bearer(headers) == secret


async def test_an_open_server_asks_for_no_key_and_looks_at_none() -> None:
    assert await Credentials().identify([("x-api-key", "anything")]) is None
    assert await Credentials().identify_secret("anything") is None


async def test_a_server_with_keys_needs_one() -> None:
    credentials = Credentials(Keyring())
    found = await credentials.identify([("x-api-key", "library")])
    assert found
    assert found.tenant == "library"
    assert await credentials.identify_secret("library") == found
    for refused in (credentials.identify([]), credentials.identify_secret("")):
        with pytest.raises(UnauthenticatedError, match="needs a key"):
            await refused


async def test_a_certificate_counts_where_there_is_no_key() -> None:
    credentials, names = Credentials(Keyring()), ("gateway.example",)
    found = await credentials.identify([], names)
    keyed = await credentials.identify([("x-api-key", "library")], names)
    assert found
    assert keyed
    assert (found.tenant, keyed.tenant) == ("certified", "library")
    with pytest.raises(UnauthenticatedError):
        await credentials.identify([], ("unknown.example",))


async def test_without_keys_a_certificate_names_the_tenant() -> None:
    found = await Credentials().identify([("x-api-key", "anything")], ("library.example", "library"))
    assert found == Identity("certificate library.example", "library.example", frozenset({TASKS}))


def test_an_idempotency_key_has_a_bound() -> None:
    longest = "k" * MAX_IDEMPOTENCY_KEY
    assert idempotency_key([("idempotency-key", longest)]) == longest
    assert idempotency_key([("user-agent", "grpc")]) == ""
    with pytest.raises(InvalidRequestError, match="128 characters"):
        idempotency_key([("idempotency-key", longest + "k")])
