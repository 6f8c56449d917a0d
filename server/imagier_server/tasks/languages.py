# SPDX-License-Identifier: Apache-2.0
"""Languages as callers name them (BCP 47), matched with those that a task speaks."""

from __future__ import annotations

from collections.abc import Container, Sequence


def primary(language: str) -> str:
    """The language without its region or script: "fr" of "fr-CA"."""
    return language.replace("_", "-").split("-")[0].lower()


def spoken(wanted: Sequence[str], known: Container[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(languages wanted that are known, languages wanted that are not), each once, in the caller's order."""
    ours = dict.fromkeys(primary(language) for language in wanted if primary(language) in known)
    others = dict.fromkeys(language for language in wanted if primary(language) not in known)
    return tuple(ours), tuple(others)
