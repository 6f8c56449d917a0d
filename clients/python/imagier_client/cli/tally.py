# SPDX-License-Identifier: Apache-2.0
"""What became of the files of a run, for the line that it ends with, whatever ended it."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

_KINDS = 3
_LONGEST = 12


class Tally:
    """Counts of one run; its time begins with it."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._passed_over: Counter[str] = Counter()
        self.found = self.annotated = self.failed = 0
        self.complete = False
        """Whether all that was to be found has been."""

    def pass_over(self, path: Path) -> None:
        """Notes a file in a folder that is no picture."""
        suffix = path.suffix.lower()
        self._passed_over[suffix if suffix.isprintable() and len(suffix) <= _LONGEST else "others"] += 1

    def __str__(self) -> str:
        left = self.found - self.annotated - self.failed
        return (
            f"{self.annotated} annotated, {self.failed} failed, {self._passed_over.total()} passed over{self._kinds()}, "
            f"{left}{'' if self.complete else ' or more'} not reached, {_duration(time.monotonic() - self._began)}"
        )

    def _kinds(self) -> str:
        kinds = [f"{count} {suffix or 'without ending'}" for suffix, count in self._passed_over.most_common(_KINDS)]
        more = self._passed_over.total() - sum(count for _, count in self._passed_over.most_common(_KINDS))
        return f" ({', '.join([*kinds, f'{more} more'] if more else kinds)})" if kinds else ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f} min {rest:.0f} s" if minutes else f"{seconds:.1f} s"
