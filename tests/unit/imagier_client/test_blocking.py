# SPDX-License-Identifier: Apache-2.0
"""The two clients do not drift apart: same methods, same arguments, same defaults."""

from __future__ import annotations

import inspect

import pytest
from imagier_client import AsyncClient, Client

METHODS = [name for name in vars(AsyncClient) if not name.startswith("_")]


def parameters(function: object) -> list[tuple[str, object, object]]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", ["__init__", *METHODS])
def test_the_same_method_has_the_same_arguments(name: str) -> None:
    assert parameters(getattr(Client, name)) == parameters(getattr(AsyncClient, name))


def test_the_same_methods() -> None:
    # A blocking client may also be closed without `with`.
    assert {name for name in vars(Client) if not name.startswith("_")} == {*METHODS, "close"}


def test_making_a_client_reaches_for_nobody() -> None:
    Client("host.invalid:1").close()
    AsyncClient("host.invalid:1")
