# SPDX-License-Identifier: Apache-2.0
"""Outlier detection as in Envoy: a model that fails on a ready engine is ejected there, for twice as long each time.

Without it, an engine that fails at once would always have the fewest requests in flight and attract the most load.
"""

from __future__ import annotations

import asyncio

FIRST_EJECTION_SECONDS = 0.5
MAX_EJECTION_SECONDS = 4.0
CONSECUTIVE_ERRORS = 5  # a single picture may bring a few
# A dead instance beside a sound one fails every other request: so many good answers in a row are no luck.
GOOD_ANSWERS = 10


class _Faults:
    """Faults of one model since it was last healthy. `failed`: the engine itself reported a fault."""

    def __init__(self) -> None:
        self.errors = 0
        self.ejections = 0
        self.ejected_until = 0.0
        self.failed = False
        self.good_answers = 0


class OutlierDetection:
    """Tracks model errors on one engine. `proven` are the models whose last answer was good."""

    def __init__(self) -> None:
        self._faults: dict[str, _Faults] = {}
        self.proven: set[str] = set()

    @property
    def ejected(self) -> set[str]:
        """Models whose requests go to other engines for now."""
        now = _now()
        return {model for model, faults in self._faults.items() if now < faults.ejected_until}

    @property
    def suspected(self) -> set[str]:
        """Models that were ejected here and have not been readmitted since."""
        return {model for model, faults in self._faults.items() if faults.ejections}

    @property
    def failed(self) -> set[str]:
        """Suspected models that the engine itself reported as failing."""
        return {model for model, faults in self._faults.items() if faults.failed}

    def answered(self, model: str) -> bool:
        """Count a good answer; return True if it readmits the model."""
        self.proven.add(model)
        if not (faults := self._faults.get(model)):
            return False
        faults.errors = 0
        faults.good_answers += 1
        if faults.failed and faults.good_answers < GOOD_ANSWERS:
            return False
        return bool(self._faults.pop(model).ejections)

    def erred(self, model: str, *, sound_elsewhere: bool) -> bool:
        """Count an error; return True if it ejects the model: many in a row here, while another engine answers.

        Errors on every engine are the picture's fault or the model's, and eject nothing.
        """
        self.proven.discard(model)
        faults = self._faults.setdefault(model, _Faults())
        faults.errors += 1
        faults.good_answers = 0
        if faults.errors < CONSECUTIVE_ERRORS and not faults.ejections:
            return False
        return sound_elsewhere and self._eject(faults)

    def failed_itself(self, model: str) -> bool:
        """Count an answer that reports the model as failing; return True if it ejects the model."""
        self.proven.discard(model)
        faults = self._faults.setdefault(model, _Faults())
        faults.failed = True
        faults.good_answers = 0
        return self._eject(faults)

    def clear(self) -> None:
        """Reset, because the engine may have been restarted."""
        self._faults.clear()
        self.proven.clear()

    @staticmethod
    def _eject(faults: _Faults) -> bool:
        if _now() < faults.ejected_until:
            return False
        faults.ejected_until = _now() + ejection_seconds(faults.ejections)
        faults.ejections += 1
        return True


def ejection_seconds(before: int) -> float:
    """Ejection time after `before` consecutive ejections: 0.5 s, doubling up to 4 s."""
    return min(MAX_EJECTION_SECONDS, FIRST_EJECTION_SECONDS * 2.0 ** min(before, 10))


def _now() -> float:
    return asyncio.get_running_loop().time()
