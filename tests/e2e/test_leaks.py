# SPDX-License-Identifier: Apache-2.0
"""Hundreds of varied pictures leave descriptors, threads, tasks and shared memory where they were (benchmarks/soak.py: 10 000)."""

from __future__ import annotations

import asyncio

from support import soak
from support.real_server import Server

LOOKS = 5


def at_rest(server: Server) -> dict[str, float]:
    """The least of several looks: asking Triton for its models' readiness takes a task for each while it lasts."""
    looks = [soak.state(server) for _ in range(LOOKS)]
    return {what: min(look[what] for look in looks) for what in looks[0]}


def test_nothing_grows(server: Server) -> None:
    asyncio.run(soak.send(server.address, 150))
    before = at_rest(server)
    asyncio.run(soak.send(server.address, 300))
    after = at_rest(server)
    for what in ("processes", "shared_memory_files"):
        assert after[what] <= before[what], what
    # Pools grow to their bounds as they are needed.
    assert after["threads"] <= before["threads"] + 4
    # A connection that is being closed may still be there.
    assert after["descriptors"] <= before["descriptors"] + 4
    assert after["tasks"] <= before["tasks"] + 4
    assert after["gateway_mib"] <= before["gateway_mib"] + 50
