# SPDX-License-Identifier: Apache-2.0
"""The two clients do not drift apart: same methods, same arguments, same defaults."""

from __future__ import annotations

import inspect
import socket

import pytest
from imagier_client import AsyncClient, Client

METHODS = [name for name in dir(AsyncClient) if not name.startswith("_")]


def parameters(function: object) -> list[tuple[str, object, object]]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", ["__init__", *METHODS])
def test_the_same_method_has_the_same_arguments(name: str) -> None:
    assert parameters(getattr(Client, name)) == parameters(getattr(AsyncClient, name))


def test_the_same_methods() -> None:
    assert {name for name in dir(Client) if not name.startswith("_")} == set(METHODS)


def test_a_client_that_is_not_used_connects_to_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        AsyncClient(address)
        Client(address).close()
        # Whoever connected first is accepted first.
        with socket.create_connection(server.getsockname()) as ours:
            theirs, caller = server.accept()
            theirs.close()
            assert caller == ours.getsockname()
