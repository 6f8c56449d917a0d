# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is among those that wait: each group's in equal measure, however much it asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST_ABSENT = 1024
"""Groups whose service is remembered although they do not wait."""
_CREDIT = 4.0
"""What a group that waits again may catch up, in typical turns: it may have been away for a moment only."""


@dataclass(eq=False, frozen=True, slots=True)
class Turn(Generic[T]):
    """The wait of one `item` of a group. `cost` is relative to a typical one."""

    group: str
    item: T
    cost: float


class Turns(Generic[T]):
    """Start-time fair queueing (Goyal, Vin and Cheng, 1996): the group that has been served least goes first.

    Equal costs give groups equal turns, however many items each has waiting; groups with expensive items get fewer. An absent group
    saves up no more than `_CREDIT`. Within a group first come is first served.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, dict[Turn[T], None]] = {}
        self._served: dict[str, float] = {}
        self._now = 0.0  # what the group served last had been served before

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, group: str, item: T, cost: float = 1.0) -> Turn[T]:
        """Let an item wait; `take` or `leave` ends it."""
        if group not in self._waiting:
            if len(self._served) > len(self._waiting) + _MOST_ABSENT:
                self._served = {name: self._served[name] for name in self._waiting}
            self._served[group] = max(self._served.get(group, self._now), self._now - _CREDIT)
        turn = Turn(group, item, cost)
        self._waiting.setdefault(group, {})[turn] = None
        return turn

    def __iter__(self) -> Iterator[list[Turn[T]]]:
        """What waits, group by group, the least served first."""
        for group in sorted(self._waiting, key=self._served.__getitem__):
            yield [*self._waiting[group]]

    def first(self) -> Turn[T] | None:
        """Whose turn it is; None if nobody waits."""
        return next(iter(next(iter(self), [])), None)

    def take(self, turn: Turn[T]) -> None:
        """End its wait: it is served."""
        self._now = self._served[turn.group]
        self._served[turn.group] += turn.cost
        self.leave(turn)

    def leave(self, turn: Turn[T]) -> None:
        """End its wait without serving it; harmless if it has ended."""
        waiting = self._waiting.get(turn.group, {})
        waiting.pop(turn, None)
        if not waiting:
            self._waiting.pop(turn.group, None)
        if not self._waiting:  # enough for all
            self._served.clear()
            self._now = 0.0
