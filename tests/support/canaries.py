# SPDX-License-Identifier: Apache-2.0
"""Unmistakable words, and the search for them in everything that a server leaves behind."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path


def encodings(word: str | bytes) -> set[bytes]:
    """The word as bytes, in UTF-16, hexadecimal, percent and base64, at each of base64's three places."""
    plain = word.encode() if isinstance(word, str) else word
    found = {plain, plain.hex().encode(), plain.hex().upper().encode()}
    found |= {"".join(f"%{byte:02X}" for byte in plain).encode()}
    if isinstance(word, str):
        found |= {word.encode("utf-16-le"), word.lower().encode(), word.upper().encode()}
    for before in range(3):
        # The characters that depend on the neighbours are cut off.
        text = base64.b64encode(bytes(before) + plain).rstrip(b"=")
        found.add(text[-(-before * 8 // 6) : len(text) - 1])
    return found


def files(folders: Iterable[Path]) -> dict[Path, float]:
    """Every file in these folders and below, with the time of its last change."""
    found: dict[Path, float] = {}
    for path in walked(folders):
        try:
            if path.is_file():
                found[path] = path.stat().st_mtime
        except OSError:
            continue  # another test's, removed meanwhile or with a path that is too long
    return found


def walked(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        for top, _, names in os.walk(folder):
            yield from (Path(top, name) for name in names)


def changed(folders: Iterable[Path], before: Mapping[Path, float]) -> dict[str, bytes]:
    """The content of each file that is new or has changed since `before`, and its name with it."""
    found: dict[str, bytes] = {}
    for path, when in files(folders).items():
        if before.get(path) != when:
            try:
                found[str(path)] = os.fsencode(path.name) + b"\n" + path.read_bytes()
            except FileNotFoundError:
                continue
    return found


def holders(words: Mapping[str, str | bytes], places: Mapping[str, bytes]) -> list[str]:
    """Which place holds which word."""
    return sorted(
        f"{place} holds the {name}"
        for name, word in words.items()
        for place, content in places.items()
        if any(encoded in content for encoded in encodings(word))
    )
