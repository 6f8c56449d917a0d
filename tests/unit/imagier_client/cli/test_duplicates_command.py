# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from imagier.v1 import annotator_pb2
from imagier_client.cli import main
from imagier_client.cli.jsonl import to_line
from imagier_client.codec import decode_annotation
from imagier_client.errors import UnavailableError


def line(path: str, value: int, quality: int = 90, *turned: int) -> str:
    """A line as `imagier annotate` writes it."""
    response = annotator_pb2.AnnotateResponse()
    response.fingerprint.hash, response.fingerprint.quality = value.to_bytes(32), quality
    response.fingerprint.rotations.extend(each.to_bytes(32) for each in turned)
    return to_line(Path(path), decode_annotation(response))


@pytest.fixture
def prints(tmp_path: Path) -> Path:
    failed = to_line(Path("f.jpg"), UnavailableError("down", code="UNAVAILABLE"))
    lines = [line("a.jpg", 0), line("b\u202e.jpg", 7), line("far.jpg", 2**200 - 1), line("blank.jpg", 0, 3), failed, ""]
    (tmp_path / "prints.jsonl").write_text("\n".join(lines))
    return tmp_path / "prints.jsonl"


def test_groups_for_people(prints: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["duplicates", str(prints)]) == 1
    out, err = capsys.readouterr()
    assert out == "a.jpg\n    3  b\\u202e.jpg\n"
    assert err == "5 pictures, 1 copies in 1 groups, 1 with too little to see, 1 without a fingerprint\n"


def test_groups_for_programs(prints: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["duplicates", str(prints), "--format", "jsonl", "--min-quality", "0"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "paths": ["a.jpg", "b\u202e.jpg", "blank.jpg"],
        "distances": [0, 3, 0],
    }
    assert main(["duplicates", str(prints), "--distance", "0"]) == 1
    assert capsys.readouterr().out == ""


def test_standard_input_and_rotations(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    given = f"{line('a', 2**128 - 1)}\n{line('b', 2**256 - 2**128, 90, *[2**128 - 1] * 7)}\n"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given.encode())))
    assert main(["duplicates", "-"]) == 0
    assert capsys.readouterr().out == "a\n    0  b\n"


@pytest.mark.parametrize(
    "bad",
    [
        "no JSON",
        "[1]",
        "{}",
        '{"path": "a", "response": {"fingerprint": {"hash": "%"}}}',
        '{"path": "a", "response": {"fingerprint": {"hash": "c2hvcnQ="}}}',
        '{"path": 7}',
        '{"path": "a", "response": {"fingerprint": {"quality": "good"}}}',
        '{"path": "a", "response": {"fingerprint": {"rotations": 7}}}',
        "[" * 100_000,
        b"\xff".decode("latin-1"),
    ],
)
def test_what_is_no_such_line_is_named(bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prints").write_bytes(f"{line('a', 1)}\n{bad}\n".encode("latin-1"))
    assert main(["duplicates", str(tmp_path / "prints")]) == 2
    assert "line 2 is none of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.jsonl"], "No such file"),
        (["-", "--distance", "256"], "from 0 to 255"),
        (["-", "--min-quality", "101"], "from 0 to 100"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["duplicates", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_without_numpy_it_says_what_to_install(
    prints: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "imagier_client.duplicates", None)
    assert main(["duplicates", str(prints)]) == 3
    assert "pip install 'imagier[duplicates]'" in capsys.readouterr().err
