# SPDX-License-Identifier: Apache-2.0
"""Fair shares of a bounded capacity among callers."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from imagier_server.call import Caller

_RECENT_SECONDS = 5.0
"""Seconds for which a caller without a permit still counts: callers pause between calls."""


@dataclass(slots=True)
class _Usage:
    """What a group or member holds and how many of its requests wait.

    `asked` is its last request's time. `refused`: whether that was refused.
    """

    held: int = 0
    waiting: int = 0
    asked: float = 0.0
    refused: bool = False
    members: _Usages = field(default_factory=OrderedDict)


_Usages = OrderedDict[str, _Usage]


class Shares:
    """A capacity of `total` shared by groups, and within each by its members.

    A single caller may hold all but an eighth, which is kept for the next one. Among several none holds more than an equal share,
    and one that holds twice as much as any other is limited to half of that, so that queues stay short for light callers. Each
    may hold at least one permit, whatever its size.

    `connected` returns whether a member, which is a connection, is open. A closed one has no share, unless it was refused: then
    its caller comes back on another connection.
    """

    def __init__(
        self,
        total: int,
        connected: Callable[[str], bool] = lambda _: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self._connected = connected
        self._clock = clock
        self._groups: _Usages = OrderedDict()

    def fits(self, caller: Caller, amount: int, *, keep: bool = False) -> bool:
        """Whether the caller may hold `amount` more. `keep`: leave an eighth of its share free."""
        now = self._clock()
        group = _asking(self._groups, caller.group, now)
        member = _asking(group.members, caller.member, now)
        fits = self._room(group, member, amount, keep)
        # Closed connections are looked for once until the next permit: callers may ask in vain very often.
        if not fits and not member.refused and self._drop_closed(group.members, member):
            fits = self._room(group, member, amount, keep)
        member.refused = not fits
        return fits

    def change(self, caller: Caller, amount: int) -> None:
        """Add to what the caller holds; a negative `amount` releases."""
        group = self._groups.setdefault(caller.group, _Usage())
        for usage in (group, group.members.setdefault(caller.member, _Usage())):
            usage.held += amount

    def group_fits(self, group: str, amount: int) -> bool:
        """Whether a group may hold `amount` more, whatever its members hold."""
        usage = self._groups.get(group)
        if usage is None or not usage.held:
            return True
        return usage.held + amount <= _most(self._all(), self._groups, usage)

    def wait(self, caller: Caller, requests: int) -> None:
        """Add to the caller's requests that wait: while there are any, it counts. A negative number ends them."""
        now = self._clock()
        group = self._groups.setdefault(caller.group, _Usage(asked=now))
        for usage in (group, group.members.setdefault(caller.member, _Usage(asked=now))):
            usage.waiting += requests

    def _all(self) -> int:
        return self.total - (self.total // 8 if len(self._groups) == 1 else 0)

    def _room(self, group: _Usage, member: _Usage, amount: int, keep: bool) -> bool:
        most = self._all()
        for usages, usage in ((self._groups, group), (group.members, member)):
            most = _most(most, usages, usage)
            if keep and usage is member:
                most -= min(most - 1, max(1, most // 8))
            if usage.held and usage.held + amount > most:
                return False
        return True

    def _drop_closed(self, members: _Usages, asking: _Usage) -> bool:
        """Drop members whose connection is closed; return whether there were any."""
        idle = [
            name
            for name, usage in members.items()
            if not (usage is asking or usage.held or usage.waiting or usage.refused)
        ]
        closed = [name for name in idle if not self._connected(name)]
        for name in closed:
            del members[name]
        return bool(closed)


def _asking(usages: _Usages, name: str, now: float) -> _Usage:
    """The usage of a name that asks now; drops stale ones that hold nothing."""
    usage = usages.setdefault(name, _Usage())
    usage.asked = now
    usages.move_to_end(name)
    for old in [*_stale(usages, now)]:
        del usages[old]
    return usage


def _stale(usages: _Usages, now: float) -> list[str]:
    found = []
    for name, usage in usages.items():
        if now - usage.asked < _RECENT_SECONDS:
            break
        if not (usage.held or usage.waiting):
            found.append(name)
    return found


def _most(total: int, usages: _Usages, usage: _Usage) -> int:
    """The share of `total` that one usage may hold."""
    if len(usages) == 1:
        return total
    equal = max(1, total // len(usages))
    if usage.held < equal // 2:
        return equal
    others = max(other.held for other in usages.values() if other is not usage)
    return max(1, equal // 2, min(equal, 2 * others))
