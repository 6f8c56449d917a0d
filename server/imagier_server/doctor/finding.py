# SPDX-License-Identifier: Apache-2.0
"""A finding of `imagier doctor`: what was checked, what was found, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The severity of a finding. Only `WRONG` keeps the server from working."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """`found` is what this machine has; `advice` says what to do, empty if nothing."""

    name: str
    found: str
    state: State = State.OK
    advice: str = ""


def note(name: str, found: str, advice: str) -> Finding:
    """A finding that could be better; the server still works."""
    return Finding(name, found, State.NOTE, advice)


def wrong(name: str, found: str, advice: str) -> Finding:
    """A finding that keeps the server from starting or working."""
    return Finding(name, found, State.WRONG, advice)


def binary_size(size: float) -> str:
    """Format bytes: "24.0 GiB", "160 MiB"."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
