# SPDX-License-Identifier: Apache-2.0
"""Least-request load balancing over the engines that have the model ready and not ejected."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Generic, Protocol, TypeVar


class Candidate(Protocol):
    """An engine as the balancer sees it; `in_flight` counts our own requests, `ejected` lists models ejected there."""

    in_flight: int
    ready: Mapping[str, bool]

    @property
    def ejected(self) -> Collection[str]: ...


C = TypeVar("C", bound=Candidate)


class Balancer(Generic[C]):
    """Least request, ties round-robin. Call `update` when a candidate comes, goes or changes.

    An engine where the model is ejected gets requests only if there is no other: a request that may fail is better than none.
    """

    def __init__(self, models: Iterable[str]) -> None:
        self._by_model: dict[str, tuple[C, ...]] = dict.fromkeys(models, ())
        self._turn = 0

    def update(self, candidates: Iterable[C]) -> None:
        """Replace the candidates."""
        candidates = tuple(candidates)
        for model in self._by_model:
            able = tuple(each for each in candidates if each.ready.get(model, False))
            self._by_model[model] = tuple(each for each in able if model not in each.ejected) or able

    def has(self, model: str) -> bool:
        """True if any of them has the model ready."""
        return bool(self._by_model[model])

    def choose(self, model: str, but: C | None = None) -> C | None:
        """Return the least loaded candidate with the model ready, other than `but`; `None` if there is none."""
        able = self._by_model[model]
        self._turn += 1
        best = None
        for step in range(len(able)):
            each = able[(self._turn + step) % len(able)]
            if each is not but and (best is None or each.in_flight < best.in_flight):
                best = each
        return best
