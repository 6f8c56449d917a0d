# SPDX-License-Identifier: Apache-2.0
"""The states of one address, and what leads from one to the next."""

from __future__ import annotations

from typing import Any

import pytest
from imagier_server.engines.endpoint import Endpoint, State

READY = {"tagger": True, "other": False}
NONE = {"tagger": False, "other": False}


@pytest.fixture
def endpoint() -> Endpoint:
    engine: Any = object()  # nothing is asked of it
    return Endpoint("1", engine)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((), State.CONNECTING),
        (("none",), State.CONNECTING),
        (("ready",), State.READY),
        (("eject",), State.EJECTED),
        (("ready", "none"), State.EJECTED),
        (("ready", "eject"), State.EJECTED),
        (("ready", "eject", "none"), State.EJECTED),
        (("ready", "eject", "ready"), State.READY),
        (("drain",), State.DRAINING),
        (("ready", "drain", "ready"), State.DRAINING),
        (("ready", "drain", "eject"), State.DRAINING),
    ],
)
async def test_each_state(endpoint: Endpoint, events: tuple[str, ...], state: State) -> None:
    for event in events:
        match event:
            case "ready":
                endpoint.admit(READY)
            case "none":
                endpoint.admit(NONE)
            case "eject":
                endpoint.eject()
            case "drain":
                endpoint.drain()
    assert endpoint.state is state
    assert endpoint.up is (state is State.READY)


async def test_an_ejection_forgets_what_was_known(endpoint: Endpoint) -> None:
    endpoint.admit(READY)
    endpoint.outliers.failed_itself("tagger")
    assert (endpoint.has, endpoint.ejected) == ({"tagger"}, {"tagger"})
    endpoint.eject()
    assert (endpoint.has, endpoint.ejected) == (set(), set())
    assert (endpoint.epoch, endpoint.failures) == (1, 1)
    assert endpoint.changed.is_set()


async def test_one_that_drains_is_over_with_its_last_request(endpoint: Endpoint) -> None:
    endpoint.in_flight = 1
    endpoint.drain()
    assert not endpoint.over
    endpoint.in_flight = 0
    assert endpoint.over
