# SPDX-License-Identifier: Apache-2.0
"""Which engine takes the next request: of those that have the model ready and do not fail at it, the least busy with ours."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Generic, Protocol, TypeVar


class Candidate(Protocol):
    """An engine as the balancer sees it; `in_flight` counts our own requests. `benched` are models that fail there."""

    in_flight: int
    ready: Mapping[str, bool]

    @property
    def benched(self) -> Collection[str]: ...


C = TypeVar("C", bound=Candidate)


class Balancer(Generic[C]):
    """Least outstanding requests; among equals they take turns. `update` when a candidate comes, goes or changes.

    A candidate on which a model is benched takes that model's requests only where there is no other: the model may not be at fault
    there, and a request that may fail is better than none.
    """

    def __init__(self, models: Iterable[str]) -> None:
        self._by_model: dict[str, tuple[C, ...]] = dict.fromkeys(models, ())
        self._turn = 0

    def update(self, candidates: Iterable[C]) -> None:
        """Takes these from now on."""
        candidates = tuple(candidates)
        for model in self._by_model:
            able = tuple(each for each in candidates if each.ready.get(model, False))
            self._by_model[model] = tuple(each for each in able if model not in each.benched) or able

    def has(self, model: str) -> bool:
        """True if any of them has the model ready."""
        return bool(self._by_model[model])

    def choose(self, model: str, but: C | None = None) -> C | None:
        """The least loaded that has the model ready, other than `but`; `None` if there is none."""
        able = self._by_model[model]
        self._turn += 1
        best = None
        for step in range(len(able)):
            each = able[(self._turn + step) % len(able)]
            if each is not but and (best is None or each.in_flight < best.in_flight):
                best = each
        return best
