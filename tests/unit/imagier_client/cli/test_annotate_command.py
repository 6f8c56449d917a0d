# SPDX-License-Identifier: Apache-2.0
"""The arguments of `imagier annotate`; what it does with them is proved before a scripted server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from imagier_client.cli import annotate_command, annotating, main
from imagier_client.cli.annotating import Options
from imagier_client.tasks.caption import Caption
from imagier_client.tasks.ocr import Ocr
from imagier_client.tasks.tags import Candidate, Tags

Ask = Callable[..., Options]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """What a run would be asked for."""
    asked: list[Options] = []

    async def annotate(options: Options) -> int:
        asked.append(options)
        return 7

    def arguments(*argv: str) -> Options:
        assert main(["annotate", *argv]) == 7, "the run's own exit status"
        return asked.pop()

    monkeypatch.setattr(annotating, "annotate", annotate)
    return arguments


def names(options: Options) -> list[str]:
    return [task.task for task in options.tasks]


def test_the_defaults(ask: Ask) -> None:
    options = ask("a.jpg", "b")
    assert options.paths == [Path("a.jpg"), Path("b")]
    assert (options.tasks, options.languages, options.style) == ((Tags(), Ocr()), ("en",), "table")
    assert (options.server, options.draw, options.out) == (None, None, None)
    assert options.concurrency == 8
    assert (options.timeout, options.patience) == (None, 300)


def test_options_may_stand_behind_the_paths_and_between_them(ask: Ask) -> None:
    options = ask("a", "--concurrency=3", "--", "--server", "-")
    assert (options.paths, options.concurrency) == ([Path("a"), Path("--server"), Path("-")], 3)


def test_a_name_that_is_no_text_is_a_name(ask: Ask) -> None:
    assert ask("caf\udce9.jpg").paths == [Path("caf\udce9.jpg")]


def test_lists_are_forgiving(ask: Ask) -> None:
    options = ask("a", "--tasks", "ocr, tags,ocr,", "--languages", " fr,en ")
    assert (names(options), options.languages) == (["ocr", "tags"], ("fr", "en"))


def test_tags_and_captions_and_how_they_are_wanted(ask: Ask) -> None:
    wanted = ["--tasks", "caption,tags", "--candidates", "3", "--max-words", "9", "--gender-neutral"]
    caption, tags = ask("a", *wanted, "--max-tags", "4", "--min-score", "0.5").tasks
    assert caption == Caption(9, 3, gender_neutral=True)
    assert tags == Tags(max_tags=4, min_score=0.5)


def test_own_labels_come_from_files(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("weaving\ta loom\tun métier\n\n  ship \nweaving\t\ta shuttle\n", "utf-16")
    (tmp_path / "label").write_bytes(b"IMTL\x01")
    wanted = ["--tags-candidates", str(tmp_path / "own.txt"), "--tags-taught", str(tmp_path / "label")]
    (tags,) = ask("a", "--tasks", "tags", *wanted).tasks
    own = (Candidate("weaving", ("a loom", "un métier", "a shuttle")), Candidate("ship"))
    assert tags == Tags(candidates=own, taught=(b"IMTL\x01",))


def test_documents_hold_text(ask: Ask) -> None:
    assert ask("a", "--format", "alto").tasks == (Ocr(words=True),)
    assert names(ask("a", "--format", "hocr", "--tasks", "tags")) == ["tags", "ocr"]
    assert ask("-", "--format", "hocr").out == Path("-")


def test_documents_keep_the_options_that_text_is_asked_for_with() -> None:
    (text,) = annotate_command._asked(("ocr",), {"ocr": {"min_confidence": 0.5}}, words=True)
    assert text == Ocr(min_confidence=0.5, words=True)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["a", "--tasks", "text,smell"],
        ["a", "--tasks", ","],
        ["a", "--concurrency", "0"],
        ["a", "--concurrency", "-1"],
        ["a", "--max-tags", "x"],
        ["a", "--tasks", "ocr", "--max-tags", "3"],
        ["a", "--include-guesses"],
        ["a", "--format", "alto", "--min-score", "0"],
        ["a", "--max-tags", "0"],
        ["a", "--max-tags", "99999999999"],
        ["a", "--min-score", "2"],
        ["a", "--min-score", "nan"],
        ["a", "--min-score", "much"],
        ["a", "--candidates", "-1"],
        ["a", "--max-words", "0"],
        ["a", "--tags-candidates", "missing.txt"],
        ["a", "--tasks", "ocr", "--tags-taught", __file__],
        ["a", "--serve", "x"],
        ["a", "--server", "x"],
        ["a", "--server", "http://x:1"],
        ["a", "--timeout", "0"],
        ["a", "--timeout", "inf"],
        ["a", "--timeout", "nan"],
        ["a", "--patience", "-1"],
        ["a", "--patience", "long"],
        ["a", "--out", "x"],
        ["-", "-"],
    ],
)
def test_wrong_usage_is_one_line(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", *wrong]) == 2
    err = capsys.readouterr().err
    assert err.startswith("imagier annotate: ")
    assert err.endswith(" (see `imagier annotate --help`)\n")
    assert err.count("\n") == 1
