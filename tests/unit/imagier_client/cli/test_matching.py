# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from imagier_client.cli import main, matching
from imagier_client.cli.matching import lines, read
from imagier_client.keywords import KeywordMatch, KeywordMatches, KeywordMeaning
from imagier_client.tasks.tags import TagParent

CAT = KeywordMeaning("n02121620", {"fr": "chat", "en": "cat"}, "synonym", (TagParent("n00015388", {"en": "animal"}),))
CRANES = (KeywordMeaning("n1", {"en": "crane"}, "name"), KeywordMeaning("n2", {"en": "construction crane"}, "synonym"))
FOUND = KeywordMatches(
    (KeywordMatch("kitty", (CAT,)), KeywordMatch("crane", CRANES), KeywordMatch("a\tb", ())), unknown_languages=("de",)
)


def test_a_table_for_other_programs() -> None:
    assert list(lines(FOUND, "tsv", ("en",))) == [
        "keyword\tmatch\tid\ten",
        "kitty\tsynonym\tn02121620\tcat",
        "crane\tname\tn1\tcrane",
        "crane\tsynonym\tn2\tconstruction crane",
        "a b\tnone\t\t",
    ]


def test_columns_are_the_languages_that_are_known_and_english_stands_in() -> None:
    assert list(lines(FOUND, "tsv", ("fr-CA", "de")))[:2] == [
        "keyword\tmatch\tid\tfr-CA\ten",
        "kitty\tsynonym\tn02121620\tchat\tcat",
    ]
    assert list(lines(FOUND, "tsv", ("fr_CA",)))[1] == "kitty\tsynonym\tn02121620\tchat"
    assert next(lines(FOUND, "tsv", ("de",))) == "keyword\tmatch\tid\ten"


def test_lines_of_json() -> None:
    kitty, crane, unknown = map(json.loads, lines(FOUND, "jsonl", ("fr",)))
    assert kitty == {
        "keyword": "kitty",
        "meanings": [
            {
                "id": "n02121620",
                "names": {"fr": "chat", "en": "cat"},
                "match": "synonym",
                "parents": [{"id": "n00015388", "names": {"en": "animal"}}],
            }
        ],
    }
    assert [meaning["id"] for meaning in crane["meanings"]] == ["n1", "n2"]
    assert unknown == {"keyword": "a\tb", "meanings": []}


def test_a_file_is_read_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = "\ufeffcat\r\n\n[ ]\n  Animals|Dogs \nmésange\n".encode()
    (tmp_path / "keywords.txt").write_bytes(content)
    assert read(str(tmp_path / "keywords.txt")) == ["cat", "Animals|Dogs", "mésange"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert read("-") == ["cat", "Animals|Dogs", "mésange"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_editors_save_is_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "keywords.txt").write_text("vélo\nмост\n猫\n", encoding)
    assert read(str(tmp_path / "keywords.txt")) == ["vélo", "мост", "猫"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("cat\nvélo\n".encode("latin-1"), "line 2 is no text in UTF-8"),
        ("cat\n".encode("utf-16-be"), "line 1 is no text in UTF-8"),
        (b"\xff\xfec\0a\0t\0\n\0\x00\xd8", "no text in UTF-16"),
    ],
)
def test_what_is_no_text_is_refused_and_not_guessed(
    tmp_path: Path, content: bytes, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keywords.txt").write_bytes(content)
    with pytest.raises(UnicodeError, match=line):
        read(str(tmp_path / "keywords.txt"))
    assert main(["keywords", str(tmp_path / "keywords.txt"), "--server", "127.0.0.1:1"]) == 2
    err = capsys.readouterr().err
    assert line in err
    assert "iconv" in err


def test_lines_that_are_set_in_lie_under_those_above(tmp_path: Path) -> None:
    (tmp_path / "export.txt").write_text("[Nature]\n\tBirds\n\t\tCrane\n\t\t\t{grues}\n\tTrees\n\t\t\tOak\nHome\n")
    assert read(str(tmp_path / "export.txt")) == [
        "Nature",
        "Nature|Birds",
        "Nature|Birds|Crane",
        "Nature|Birds|Crane|grues",
        "Nature|Trees",
        "Nature|Trees|Oak",
        "Home",
    ]


def test_arguments(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[object] = []

    async def answer(*arguments: object) -> int:
        asked.extend(arguments)
        return 7

    monkeypatch.setattr(matching, "_keywords", answer)
    options = ["--languages", "fr, zh", "--written-in", "en", "--format", "jsonl"]
    assert main(["keywords", "list.txt", *options]) == 7
    assert asked[:-1] == ["list.txt", ("fr", "zh"), ("en",), "jsonl", None]
    assert main(["keywords"]) == 2
    assert capsys.readouterr().err == "imagier keywords: Missing argument 'FILE'. (see `imagier keywords --help`)\n"
