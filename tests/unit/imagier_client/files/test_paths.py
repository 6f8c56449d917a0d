# SPDX-License-Identifier: Apache-2.0
"""Which pictures the command's arguments mean."""

from __future__ import annotations

import inspect
import os
import socket
import sys
from pathlib import Path

import pytest
from imagier_client.errors import UnreadableFileError
from imagier_client.files import paths
from imagier_client.files.paths import find_pictures


def names(folder: Path, *arguments: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path, _ in find_pictures(arguments or [folder])]


def test_folders_are_searched_in_order_and_hidden_entries_skipped(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "z/c.heic", "z/.d.png", ".git/e.png", "readme.md", "film.mp4"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    assert names(tmp_path) == ["a.png", "b.JPG", "z/c.heic"]


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"\xff\xd8\xff\xe0", True),
        (b"\x89PNG\r\n\x1a\n", True),
        (b"GIF89a", True),
        (b"RIFF\0\0\0\0WEBPVP8 ", True),
        (b"RIFF\0\0\0\0WAVEfmt ", False),
        (b"II*\0", True),
        (b"\0\0\0\x1cftypavif", True),
        (b"\0\0\0\x1cftypheic", True),
        (b"\0\0\0\x1cftypisom", False),
        (b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", True),
        (b"BM, our car\nand nothing else", False),
        (b"\0\0\0\x0cjP  \r\n\x87\n", True),
        (b"#!/bin/sh", False),
        (b"", False),
    ],
)
def test_without_a_suffix_the_first_bytes_tell(tmp_path: Path, head: bytes, found: bool) -> None:
    (tmp_path / "IMG1").write_bytes(head)
    assert names(tmp_path) == (["IMG1"] if found else [])


def test_copies_of_an_earlier_run_are_no_pictures(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.annotated.jpg", "drawn/a.annotated.jpg", "drawn/c.png", "drawn/in/d.annotated.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    def found(copies: Path) -> list[str]:
        return [str(path.relative_to(tmp_path)) for path, _ in find_pictures([tmp_path], copies)]

    assert found(tmp_path / "drawn") == ["a.jpg", "b.annotated.jpg", "drawn/c.png", "drawn/in/d.annotated.png"]
    assert "a.jpg" in found(tmp_path)
    assert "b.annotated.jpg" not in found(tmp_path)
    assert len(found(tmp_path / "new")) == 5
    given = tmp_path / "drawn/a.annotated.jpg"
    assert [path for path, _ in find_pictures([given], tmp_path / "drawn")] == [given]


def test_a_file_is_taken_as_given_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / ".hidden.txt").write_text("")
    assert names(tmp_path, tmp_path / ".hidden.txt") == [".hidden.txt"]


def test_links_to_folders_are_not_followed_links_to_files_are(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    assert names(tmp_path) == ["a.jpg", "b.jpg"]


def test_a_pipe_without_a_suffix_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert names(tmp_path) == []


def test_a_link_that_leads_in_a_circle_is_no_picture_unless_its_name_says_so(tmp_path: Path) -> None:
    for name in ("loop", "loop.jpg"):
        (tmp_path / name).symlink_to(tmp_path / name)
    (tmp_path / "a.jpg").write_bytes(b"")
    assert names(tmp_path) == ["a.jpg", "loop.jpg"]
    ((_, error),) = find_pictures([tmp_path / "loop"])
    assert str(error) == "Too many levels of symbolic links"


def test_folders_may_be_deeper_than_calls(tmp_path: Path) -> None:
    inner = "/".join("d" * 300) + "/a.jpg"
    (tmp_path / inner).parent.mkdir(parents=True)
    (tmp_path / inner).write_bytes(b"")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        found = list(find_pictures([tmp_path]))
    finally:
        sys.setrecursionlimit(limit)
    assert found == [(tmp_path / inner, None)]


def test_a_path_longer_than_any_may_be_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(20):
        Path("d" * 250).mkdir()
        monkeypatch.chdir("d" * 250)
    ((_, error),) = find_pictures([tmp_path])
    assert str(error) == "File name too long"


def test_what_is_not_there_is_an_answer_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    found = list(find_pictures([tmp_path / "missing", Path("a\0b"), tmp_path / "a.jpg"]))
    assert [type(error) for _, error in found] == [UnreadableFileError, UnreadableFileError, type(None)]
    assert str(found[0][1]) == "No such file or directory"


def test_a_folder_that_may_not_be_read_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"")
    real = os.scandir

    def scandir(path: Path) -> object:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(paths.os, "scandir", scandir)
    found = list(find_pictures([tmp_path]))
    assert [(path.name, error and str(error)) for path, error in found] == [
        ("a.jpg", None),
        ("locked", "Permission denied"),
    ]


@pytest.mark.parametrize("name", ["a.mpo", "a.jpg_large", "a.jpg(1)", "a.jpg~", "IMG 3.2019", "photo"])
def test_odd_endings_are_judged_by_content(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xff\xd8\xff\xe0")
    assert names(tmp_path) == [name]


def test_a_raw_file_is_no_tiff(tmp_path: Path) -> None:
    (tmp_path / "a.nef").write_bytes(b"II*\0")
    assert names(tmp_path) == []


def test_what_is_passed_over_is_told(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.txt", "c/d.xmp", "c/.hidden", "e"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        (tmp_path / "loop").symlink_to("loop")
        (tmp_path / "up").symlink_to("..")
        told: list[Path] = []
        assert [path.name for path, _ in find_pictures([tmp_path], None, told.append)] == ["a.jpg"]
    assert [path.name for path in told] == ["b.txt", "d.xmp", "e", "loop", "pipe", "socket", "up"]


def test_a_folder_is_searched_while_its_pictures_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is listed beforehand, and no file opened before its turn: a library starts at once."""
    for name in ("a/1", "a/2", "b/3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"GIF89a")
    looked: list[str] = []
    real_scan, real_look = os.scandir, paths.looks_like_picture
    monkeypatch.setattr(paths.os, "scandir", lambda path: looked.append(path.name) or real_scan(path))
    monkeypatch.setattr(paths, "looks_like_picture", lambda path: looked.append(path.name) or real_look(path))
    found = find_pictures([tmp_path])
    assert next(found)[0].name == "1"
    assert looked == [tmp_path.name, "a", "1"]
    assert [path.name for path, _ in found] == ["2", "3"]
