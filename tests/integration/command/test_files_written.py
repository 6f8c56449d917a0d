# SPDX-License-Identifier: Apache-2.0
"""Copies and documents that `imagier annotate` writes, before a scripted server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from support.command_run import run, summary
from support.scripted_annotator import (
    NO_ENGINE,
    Requests,
    Scripted,
    StreamResponse,
    answer,
)


async def test_copies_are_drawn(server: str, folder: Path, tmp_path: Path) -> None:
    assert await run(folder, "--server", server, "--draw", tmp_path / "drawn" / "here") == 0
    names = sorted(path.name for path in (tmp_path / "drawn" / "here").iterdir())
    assert names == ["a.annotated.png", "b.annotated.jpg", "c.annotated.png"]


async def test_what_cannot_be_drawn_is_said(
    server: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    assert await run(folder, "--server", server, "--draw", tmp_path / "drawn") == 1
    assert "broken.png: not drawn" in capsys.readouterr().err
    assert len(list((tmp_path / "drawn").iterdir())) == 3


async def test_a_missing_font_is_said_once(
    server: str, script: Scripted, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def private(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            made = answer(item.request)
            made.response.ocr.lines[0].text = "\U0010f123"  # nobody's font has it
            yield made

    script.stream = private
    assert await run(folder, "--server", server, "--draw", tmp_path / "drawn") == 0
    assert capsys.readouterr().err.count("imagier[drawing]") == 1


@pytest.mark.parametrize(("style", "suffix"), [("alto", ".alto.xml"), ("hocr", ".hocr")])
async def test_documents_beside_the_pictures(
    server: str, script: Scripted, folder: Path, capsys: pytest.CaptureFixture[str], style: str, suffix: str
) -> None:
    assert await run(folder, "--server", server, "--format", style) == 0
    expected = [folder / f"a{suffix}", folder / f"b{suffix}", folder / f"summer/c{suffix}"]
    out, err = capsys.readouterr()
    assert (out.splitlines(), summary(err)[1]) == ([str(path) for path in expected], [])
    for path in expected:
        assert "Lilas" in "".join(etree.parse(path).xpath("//text()|//@CONTENT"))
    assert all(request.ocr.words and not request.HasField("tags") for request in script.requests)
    # A second run writes the same files, and finds no new pictures.
    assert await run(folder, "--server", server, "--format", style) == 0
    assert capsys.readouterr().out.splitlines() == out.splitlines()


async def test_documents_in_a_folder_with_tags_and_copies(
    server: str, folder: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    name = folder / os.fsdecode(b"caf\xe9.png")
    (folder / "a.png").rename(name)
    arguments = ("--format", "alto", "--out", tmp_path / "out", "--tasks", "tags", "--draw", tmp_path / "drawn")
    assert await run(name, "--server", server, *arguments) == 0
    document = os.fsencode(tmp_path / "out" / f"{name.stem}.alto.xml")
    assert capfdbinary.readouterr().out == document + b"\n"
    assert etree.parse(document).find(".//{*}OtherTag").get("LABEL") == "Egyptian cat"


async def test_a_document_on_standard_output(server: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ("--server", server, "--format", "hocr", "--out", "-")
    assert await run(folder / "a.png", *arguments) == 0
    assert capfd.readouterr().out.startswith("<?xml")
    assert await run(folder, *arguments) == 2
    out, err = capfd.readouterr()
    assert (out, "one picture" in err) == ("", True)


async def test_a_failed_task_and_an_unwritable_place_give_no_document(
    server: str, script: Scripted, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def no_text(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            made = answer(item.request)
            if item.request.image.startswith(b"\xff\xd8"):
                made.response.ocr.Clear()
                made.response.ocr.status.CopyFrom(NO_ENGINE)
            yield made

    script.stream = no_text
    (folder / "a.alto.xml").mkdir()
    assert await run(folder, "--server", server, "--format", "alto", "--patience", "0") == 1
    out, err = capsys.readouterr()
    assert out == f"{folder / 'summer' / 'c.alto.xml'}\n"
    first, second = summary(err)[1]
    assert first == f"{folder / 'a.png'}: not written: Is a directory"
    assert second.startswith(f"{folder / 'b.jpg'}: ")
    assert "ENGINE_UNAVAILABLE" in second
    names = sorted(path.name for path in (folder.parent / "photos").iterdir())
    assert names == ["a.alto.xml", "a.png", "b.jpg", "notes.txt", "summer"]


async def test_a_folder_that_cannot_be_made(
    server: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert await run(folder, "--server", server, "--draw", tmp_path / "file") == 2
    assert str(tmp_path / "file") in capsys.readouterr().err
