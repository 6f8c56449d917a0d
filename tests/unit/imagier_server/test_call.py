# SPDX-License-Identifier: Apache-2.0
"""Until when a call is to be answered."""

from __future__ import annotations

import asyncio
from math import inf

import pytest
from imagier_server.call import CallContext, Lane, Transport, answer_by


@pytest.mark.parametrize(("seconds", "ours"), [(100.0, 99.95), (0.2, 0.19), (-1.0, -0.95)])
async def test_the_answer_has_to_get_there_before_the_callers_deadline(
    seconds: float, ours: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 1000.0)
    assert answer_by(seconds) == pytest.approx(1000 + ours)
    assert CallContext(Transport.GRPC, Lane.BULK, deadline=answer_by(seconds)).seconds_left == pytest.approx(ours)


async def test_without_a_deadline_there_is_always_time_left() -> None:
    assert answer_by(None) == inf
    assert CallContext(Transport.GRPC, Lane.BULK).seconds_left == inf
