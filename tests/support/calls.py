# SPDX-License-Identifier: Apache-2.0
"""Calls as a transport makes them."""

from __future__ import annotations

import asyncio
from math import inf

from imagier_server.call import ANYBODY, CallContext, Caller, Lane, Transport


def call(lane: Lane = Lane.INTERACTIVE, seconds: float | None = None, caller: Caller = ANYBODY) -> CallContext:
    """A call over gRPC that is to be answered within so many seconds, or whenever."""
    deadline = inf if seconds is None else asyncio.get_running_loop().time() + seconds
    return CallContext(Transport.GRPC, lane, caller, deadline)
