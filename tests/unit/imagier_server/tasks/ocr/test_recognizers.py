# SPDX-License-Identifier: Apache-2.0
"""Which recognisers a server has, and in which order their characters are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from imagier_server.model_lock import LOCK_NAME, ModelLockError, write_lock_text
from imagier_server.tasks.ocr.reading import Character, join
from imagier_server.tasks.ocr.recognizers import FURTHER, RECOGNIZER, SCRIPTS, Recognizer, from_right, load
from support.fake_triton import locked


def repository(folder: Path, **charsets: Sequence[str]) -> Path:
    models = {role: replace(locked(role), role=role, languages=(role[-2:],)) for role in charsets}
    (folder / LOCK_NAME).write_text(write_lock_text(models), "utf-8")
    for role, charset in charsets.items():
        assets = folder / role / "assets"
        assets.mkdir(parents=True)
        (assets / "charset.txt").write_bytes("".join(f"{entry}\n" for entry in charset).encode())
    return folder


def test_charsets_are_read_as_they_were_written(tmp_path: Path) -> None:
    charset = ("a", "\u3000", "\u2028", "人", " ")
    folder = repository(tmp_path, text_recognizer_thai=("ก",), text_recognizer=charset, text_recognizer_arabic=("ا",))
    first, *further = load(folder)
    assert (first.role, first.charset) == (RECOGNIZER, charset), "the default one comes first"
    assert [each.role for each in further] == [f"{FURTHER}arabic", f"{FURTHER}thai"]
    assert [each.scripts for each in further] == [("Arab",), ("Thai",)]
    assert further[0].languages == ("ic",)


def test_a_role_of_another_version_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelLockError, match="text_recognizer_runic is no role of this version"):
        load(repository(tmp_path, text_recognizer=("a",), text_recognizer_runic=("ᚠ",)))


def characters(text: str) -> list[Character]:
    return [Character(each, 0.9, place, place + 1) for place, each in enumerate(text)]


@pytest.mark.parametrize(
    ("seen", "read"),
    [
        ("ملاس"[::-1], "ملاس"),
        ("12.5 نمث", "ثمن 12.5"),
        ("باب hello world باتك", "كتاب hello world باب"),
        ("hello", "hello"),
        ("", ""),
    ],
)
def test_arabic_is_read_from_the_right(seen: str, read: str) -> None:
    assert join(from_right(characters(seen))) == read
    arabic = Recognizer(f"{FURTHER}arabic", ())
    assert arabic.as_read(characters(seen)) == from_right(characters(seen))


def test_all_others_are_read_from_the_left() -> None:
    seen = characters("שלום abc")
    for script in SCRIPTS.keys() - {"arabic"}:
        assert Recognizer(f"{FURTHER}{script}", ()).as_read(seen) == seen
