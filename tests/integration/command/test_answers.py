# SPDX-License-Identifier: Apache-2.0
"""`imagier annotate` from its arguments to what it prints, before a scripted server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from PIL import Image
from support.command_run import COMMAND, bad_navy, run, summary
from support.scripted_annotator import (
    NO_ENGINE,
    Requests,
    Scripted,
    StreamResponse,
    answer,
)


async def test_a_table(server: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(folder, "--server", server, "--languages", "en,fr") == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    size = (folder / "a.png").stat().st_size
    assert lines[0] == [str(folder / "a.png"), str(size), "x", "7"]
    assert lines[1] == ["tag", "0.75", "Egyptian", "cat", "mau", "égyptien"]
    assert lines[2] == ["text", "0.99", "Rue", "des", "Lilas"]
    assert "\x1b" not in out
    assert summary(err) == ("3 annotated, 0 failed, 1 passed over (1 .txt), 0 not reached", [])


async def test_captions(server: str, script: Scripted, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = (
        "--tasks",
        "tags,caption,ocr",
        "--candidates",
        "2",
        "--max-words",
        "9",
        "--gender-neutral",
        "--include-guesses",
    )
    assert await run(folder, "--server", server, *wanted) == 0
    out, err = capsys.readouterr()
    assert out.count("A brown cat.") == out.count("title          Brown cat") == 3
    assert summary(err)[1] == ["captioner (ours 1) is for research and private use only, and so are its answers"]
    asked = script.requests[0].caption
    assert (asked.candidates, asked.max_words, asked.gender_neutral, asked.include_guesses) == (2, 9, True, True)
    assert not asked.HasField("min_score")


async def test_captions_are_asked_for_by_name(server: str, script: Scripted, folder: Path) -> None:
    assert await run(folder / "a.png", "--server", server) == 0
    assert not script.requests[0].HasField("caption"), "not every server has a captioner"


async def test_lines_of_json_in_the_order_of_the_pictures(
    server: str, script: Scripted, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.stream = bad_navy
    (folder / "d.jpg").symlink_to(folder / "missing")
    os.mkfifo(folder / "e.jpg")
    assert await run(folder, "--server", server, "--format", "jsonl", "--tasks", "tags", "--concurrency", "2") == 1
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [Path(line["path"]).name for line in lines] == ["a.png", "b.jpg", "d.jpg", "e.jpg", "c.webp"]
    assert lines[0]["response"]["tags"]["tags"][0]["names"] == {"en": "Egyptian cat"}
    assert "ocr" not in lines[0]["response"]
    assert lines[1]["error"] == {
        "code": "INVALID_ARGUMENT",
        "reason": "INVALID_IMAGE",
        "message": "a fixed sentence",
        "retryable": False,
        "field": "image",
    }
    assert [lines[n]["error"]["reason"] for n in (2, 3)] == ["UNREADABLE_FILE"] * 2
    ending, others = summary(err)
    assert [line.split(": ")[0] for line in others] == [str(folder / f"{n}.jpg") for n in "bde"]
    assert ending == "2 annotated, 3 failed, 1 passed over (1 .txt), 0 not reached"


async def test_a_task_that_fails_makes_its_picture_fail(
    server: str, script: Scripted, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def no_tagger(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            made = answer(item.request)
            made.response.tags.Clear()
            made.response.tags.status.CopyFrom(NO_ENGINE)
            yield made

    script.stream = no_tagger
    assert await run(folder / "a.png", "--server", server, "--patience", "0") == 1
    out, err = capsys.readouterr()
    assert "Rue des Lilas" in out
    assert "ENGINE_UNAVAILABLE" in err


@pytest.mark.parametrize(
    "wrong", [["--tasks", "smells"], ["--tasks", ""], ["--concurrency", "0"], ["--format", "xml"], ["--out", "x"]]
)
async def test_wrong_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("a.jpg", *wrong) == 2
    err = capsys.readouterr().err
    assert wrong[0] in err
    assert len(err.splitlines()) == 1


async def test_a_language_that_nobody_speaks_is_noted_once(
    script: Scripted, server: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def stream(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            made = answer(item.request)
            made.response.tags.unknown_languages.append("tlh")
            made.response.tags.tags[0].names["en"] = "Egyptian cat"
            yield made

    script.stream = stream
    assert await run(folder, "--server", server, "--languages", "tlh,fr") == 0
    captured = capsys.readouterr()
    assert captured.err.count("tags have no names in tlh: English stands in") == 1
    assert captured.out.count("Egyptian cat  mau égyptien") == 3


async def piped(content: bytes, *arguments: str | Path) -> tuple[int | None, bytes, str]:
    """Exit status, output and errors of the command with a picture on its standard input."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(content), 30)
    return process.returncode, out, err.decode()


async def test_a_picture_on_standard_input(server: str, script: Scripted, folder: Path, tmp_path: Path) -> None:
    content = (folder / "a.png").read_bytes()
    arguments = ("-", "--server", server, "--draw", tmp_path / "drawn")
    code, out, err = await piped(content, *arguments, "--format", "jsonl")
    assert (code, summary(err)) == (0, ("1 annotated, 0 failed, 0 passed over, 0 not reached", []))
    assert json.loads(out)["path"] == "-"
    assert script.requests[0].image == content
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["stdin.annotated.png"]
    code, out, _ = await piped(content, "-", "--server", server, "--format", "alto")
    assert (code, out[:5]) == (0, b"<?xml"), "there is no folder beside it"
    code, _, err = await piped(content, "-", "-", "--server", server)
    assert (code, "once" in err) == (2, True)


@pytest.mark.usefixtures("ctrl_c")
async def test_ctrl_c_need_not_wait_for_the_input_to_end(server: str, script: Scripted) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "-", "--server", server, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    await asyncio.wait_for(script.catalog_asked.wait(), 30)
    process.send_signal(signal.SIGINT)
    assert process.stderr
    err = await asyncio.wait_for(process.stderr.read(), 30)
    assert await asyncio.wait_for(process.wait(), 30) == 130
    assert summary(err.decode())[0].endswith("1 not reached")


HOSTILE = ("a\nb", "\x1b[31mred", "[bold]b", "q\"'&<i>", "caf\udce9", "\x9b2J", "\u202egpj")


@pytest.mark.parametrize("style", ["table", "jsonl", "alto", "hocr"])
async def test_no_name_breaks_a_format(
    server: str, script: Scripted, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], style: str
) -> None:
    """Names that move a cursor, end a line, mark up or are no text; half of the pictures are refused, and named in the errors."""
    script.stream = bad_navy
    (tmp_path / "in").mkdir()
    for name in HOSTILE:
        Image.new("RGB", (16, 16)).save(tmp_path / "in" / f"{name}.png")
        Image.new("RGB", (16, 16)).save(tmp_path / "in" / f"{name}.jpg")
    arguments = ("--format", style, "--draw", tmp_path / "drawn", "--tasks", "tags,ocr")
    out_too = ("--out", tmp_path / "out") if style in {"alto", "hocr"} else ()
    assert await run(tmp_path / "in", "--server", server, *arguments, *out_too) == 1
    out, err = capfdbinary.readouterr()
    for line in [*out.split(b"\n"), *err.split(b"\n")]:
        assert b"\x1b" not in line
        assert "\x9b" not in line.decode(errors="surrogateescape")
    ending, others = summary(err.decode())
    assert ending == "7 annotated, 7 failed, 0 passed over, 0 not reached"
    assert len(others) == 7
    assert "[bold]b.jpg: " in err.decode(), "as it is, and nothing of it taken for markup"
    if style == "jsonl":
        lines = [json.loads(line) for line in out.splitlines()]
        assert {Path(line["path"]).stem for line in lines} == set(HOSTILE)
    if out_too:
        assert len(out.splitlines()) == 7
        for document in (tmp_path / "out").iterdir():
            etree.fromstring(document.read_bytes())
    assert len(list((tmp_path / "drawn").iterdir())) == 7
