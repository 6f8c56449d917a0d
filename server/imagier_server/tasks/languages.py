# SPDX-License-Identifier: Apache-2.0
"""Matches requested languages (BCP 47) with those of a task."""

from __future__ import annotations

from collections.abc import Container, Sequence

from imagier_server.errors import InvalidRequestError

MAX_LANGUAGES = 16
MAX_LANGUAGE = 64
"""Characters of a language: the longest tags have about 35 (BCP 47, section 4.4.1)."""


def check_languages(languages: Sequence[str], field: str = "languages") -> None:
    """Raises `InvalidRequestError` if a caller names too many languages, or a too long one."""
    if len(languages) > MAX_LANGUAGES:
        raise InvalidRequestError(f"more than {MAX_LANGUAGES} languages are given", field=field)
    for place, language in enumerate(languages):
        if len(language) > MAX_LANGUAGE:
            raise InvalidRequestError(f"longer than {MAX_LANGUAGE} characters", field=f"languages[{place}]")


def primary(language: str) -> str:
    """The language without its region or script: "fr" of "fr-CA"."""
    return language.replace("_", "-").split("-")[0].lower()


def spoken(wanted: Sequence[str], known: Container[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split requested languages into (known, unknown), without duplicates, in the caller's order."""
    ours = dict.fromkeys(primary(language) for language in wanted if primary(language) in known)
    others = dict.fromkeys(language for language in wanted if primary(language) not in known)
    return tuple(ours), tuple(others)
