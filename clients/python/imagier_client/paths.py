# SPDX-License-Identifier: Apache-2.0
"""From the paths on the command line to the pictures they mean: files as given, folders searched."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from imagier_client.errors import UnreadableFileError

SUFFIXES = frozenset(
    {".avif", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)

COPY_SUFFIXES = (".annotated.jpg", ".annotated.png")
"""How the names of drawn copies end."""


def find_pictures(
    paths: Iterable[Path], copies: Path | None = None
) -> Iterator[tuple[Path, UnreadableFileError | None]]:
    """Each picture, or why a path gives none. Those drawn into the folder `copies` by an earlier run are none of them.

    A file is taken as given: the server judges it. A folder is searched in order of name, its folders too; hidden entries are
    skipped, links to folders not followed. In folders a picture is known by its suffix, or without one by its first bytes.
    """
    for path in paths:
        try:
            folder = stat.S_ISDIR(path.stat().st_mode)
        except (OSError, ValueError) as error:
            yield path, _unreadable(error)
            continue
        if folder:
            yield from _search(path, os.path.realpath(copies) if copies else None)
        else:
            yield path, None


def _search(folder: Path, copies: str | None) -> Iterator[tuple[Path, UnreadableFileError | None]]:
    found = [(folder, True)]  # and whether it is a folder; the last one is next
    while found:
        path, is_folder = found.pop()
        if not is_folder:
            yield path, None
            continue
        try:
            with os.scandir(path) as entries:
                visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            yield path, _unreadable(error)
            continue
        if os.path.realpath(path) == copies:
            visible = [entry for entry in visible if not entry.name.endswith(COPY_SUFFIXES)]
        kinds = ((path / entry.name, _kind(path / entry.name, entry)) for entry in reversed(visible))
        found += [(inner, kind == "folder") for inner, kind in kinds if kind]


def _kind(path: Path, entry: os.DirEntry[str]) -> str:
    """`folder`, `picture`, or nothing."""
    try:
        if entry.is_dir(follow_symlinks=False):
            return "folder"
        named = path.suffix.lower() in SUFFIXES
        return "picture" if named or (not path.suffix and entry.is_file() and _looks_like_picture(path)) else ""
    except OSError:  # gone meanwhile, or a link that leads round in a circle
        return ""


def _looks_like_picture(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1"})
    )


def _unreadable(error: OSError | ValueError) -> UnreadableFileError:
    return UnreadableFileError(getattr(error, "strerror", None) or str(error), field="image")
