# SPDX-License-Identifier: Apache-2.0
"""Bounds the bytes of HTTP bodies that are still arriving. Unlike gRPC's, they are in our hands, and counted exactly."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from imagier_server.call import Caller


@dataclass(eq=False, slots=True)
class Body:
    """A body that is arriving. `ends` is the time limit of its reading; `stopped`: others needed its capacity."""

    caller: Caller
    held: int = 0
    ends: asyncio.Timeout | None = None
    stopped: bool = False


class Bodies:
    """The bodies of one server: at most `total_bytes`, and the last chunk of each.

    Beyond it, bodies are stopped, oldest first, in the group of callers that holds most.
    """

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._held = 0
        self._arriving: dict[Body, None] = {}  # in order of age

    @contextmanager
    def body(self, caller: Caller) -> Iterator[Body]:
        """The time in which a body arrives."""
        body = Body(caller)
        self._arriving[body] = None
        try:
            yield body
        finally:
            del self._arriving[body]
            self._held -= body.held

    def add(self, body: Body, size: int) -> None:
        """Count `size` more bytes of a body."""
        body.held += size
        self._held += size
        if self._held > self._total_bytes:
            self._make_room()

    def _make_room(self) -> None:
        going = [body for body in self._arriving if not body.stopped]
        over = self._held - self._total_bytes - sum(body.held for body in self._arriving if body.stopped)
        groups: Counter[str] = Counter()
        for body in going:
            groups[body.caller.group] += body.held
        while over > 0 and groups:
            (worst, _), *_ = groups.most_common(1)
            oldest = next(body for body in going if body.caller.group == worst and body.held and not body.stopped)
            oldest.stopped = True
            over -= oldest.held
            groups[worst] -= oldest.held
            if oldest.ends:
                oldest.ends.reschedule(asyncio.get_running_loop().time())
