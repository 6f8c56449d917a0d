# SPDX-License-Identifier: Apache-2.0
"""`imagier annotate` from its arguments to its exit status, before a scripted server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from imagier_client import command as command_module
from imagier_client.cli import main
from lxml import etree
from PIL import Image
from scripted_annotator import (
    BAD_IMAGE,
    NO_ENGINE,
    Requests,
    Scripted,
    StreamResponse,
    answer,
    refuse,
    serving,
    status,
)

COMMAND = (sys.executable, "-m", "imagier_client.cli", "annotate")


@pytest.fixture
def script() -> Scripted:
    return Scripted(image_bytes=2**20)


@pytest.fixture
async def server(script: Scripted) -> AsyncIterator[str]:
    async with serving(script) as address:
        yield address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "summer").mkdir(parents=True)
    for name, colour in (("b.jpg", "navy"), ("a.png", "teal"), ("summer/c.webp", "olive")):
        Image.new("RGB", (100, 80), colour).save(folder / name)
    (folder / "notes.txt").write_text("not a picture")
    return folder


async def run(*arguments: str | Path) -> int:
    return await asyncio.to_thread(main, ["annotate", *map(str, arguments)])


async def bad_navy(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
    """Answers the first picture last, and refuses JPEG."""
    first: StreamResponse | None = None
    answered = 0
    async for item in requests:
        made = answer(item.request, BAD_IMAGE if item.request.image.startswith(b"\xff\xd8") else None)
        if first is None:
            first = made
            continue
        yield made
        answered += 1
        if answered == 1:
            yield first


async def test_a_table(server: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(folder, "--server", server, "--languages", "en,fr") == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    size = (folder / "a.png").stat().st_size
    assert lines[0] == [str(folder / "a.png"), str(size), "x", "7"]
    assert lines[1] == ["tag", "0.75", "Egyptian", "cat", "mau", "égyptien"]
    assert lines[2] == ["text", "0.99", "Rue", "des", "Lilas"]
    assert "\x1b" not in out
    assert err == ""


async def test_captions(server: str, script: Scripted, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ("--tasks", "tags,caption,text", "--candidates", "2", "--max-words", "9", "--gender-neutral")
    assert await run(folder, "--server", server, *wanted) == 0
    out, err = capsys.readouterr()
    assert out.count("A brown cat.") == out.count("title          Brown cat") == 3
    assert err == "captioner (ours 1) is for research and private use only, and so are its answers\n"
    asked = script.requests[0].caption
    assert (asked.candidates, asked.max_words, asked.gender_neutral) == (2, 9, True)
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
    assert "text" not in lines[0]["response"]
    assert lines[1]["error"] == {
        "code": "INVALID_ARGUMENT",
        "reason": "INVALID_IMAGE",
        "message": "a fixed sentence",
        "retryable": False,
        "field": "image",
    }
    assert [lines[n]["error"]["reason"] for n in (2, 3)] == ["UNREADABLE_FILE"] * 2
    assert [line.split(": ")[0] for line in err.splitlines()] == [str(folder / f"{n}.jpg") for n in "bde"]


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
    assert await run(folder / "a.png", "--server", server) == 1
    out, err = capsys.readouterr()
    assert "Rue des Lilas" in out
    assert "ENGINE_UNAVAILABLE" in err


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
            made.response.text.lines[0].text = "\U0010f123"  # nobody's font has it
            yield made

    script.stream = private
    assert await run(folder, "--server", server, "--draw", tmp_path / "drawn") == 0
    assert capsys.readouterr().err.count("imagier[fonts]") == 1


@pytest.mark.parametrize(("style", "suffix"), [("alto", ".alto.xml"), ("hocr", ".hocr")])
async def test_documents_beside_the_pictures(
    server: str, script: Scripted, folder: Path, capsys: pytest.CaptureFixture[str], style: str, suffix: str
) -> None:
    assert await run(folder, "--server", server, "--format", style) == 0
    expected = [folder / f"a{suffix}", folder / f"b{suffix}", folder / f"summer/c{suffix}"]
    out, err = capsys.readouterr()
    assert (out.splitlines(), err) == ([str(path) for path in expected], "")
    for path in expected:
        assert "Lilas" in "".join(etree.parse(path).xpath("//text()|//@CONTENT"))
    assert all(request.text.words and not request.HasField("tags") for request in script.requests)
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
                made.response.text.Clear()
                made.response.text.status.CopyFrom(NO_ENGINE)
            yield made

    script.stream = no_text
    (folder / "a.alto.xml").mkdir()
    assert await run(folder, "--server", server, "--format", "alto") == 1
    out, err = capsys.readouterr()
    assert out == f"{folder / 'summer' / 'c.alto.xml'}\n"
    first, second = err.splitlines()
    assert first == f"{folder / 'a.png'}: not written: Is a directory"
    assert second.startswith(f"{folder / 'b.jpg'}: ")
    assert "ENGINE_UNAVAILABLE" in second
    names = sorted(path.name for path in (folder.parent / "photos").iterdir())
    assert names == ["a.alto.xml", "a.png", "b.jpg", "notes.txt", "summer"]


async def test_nobody_listens(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(folder, "--server", "127.0.0.1:1", "--format", "jsonl") == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "3 of 3 pictures not annotated" in err


async def test_a_server_lost_halfway(
    server: str, script: Scripted, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def lost(requests: Requests, context: Any) -> AsyncIterator[StreamResponse]:
        held = None
        async for item in requests:
            if held is not None:
                yield answer(item.request)
                await refuse(context, status(grpc.StatusCode.PERMISSION_DENIED))
            held = item.request

    script.stream = lost
    assert await run(folder, "--server", server, "--format", "jsonl") == 3
    out, err = capsys.readouterr()
    # The second was answered, the first was not: what is known is still printed.
    assert [Path(json.loads(line)["path"]).name for line in out.splitlines()] == ["b.jpg"]
    assert "2 of 3 pictures not annotated" in err


async def test_no_server_is_started_for_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(tmp_path) == 0
    assert "no pictures found" in capsys.readouterr().err
    assert await run(tmp_path / "missing.jpg", "--format", "jsonl") == 1
    assert json.loads(capsys.readouterr().out)["error"]["reason"] == "UNREADABLE_FILE"


async def test_a_folder_that_cannot_be_made(
    server: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert await run(folder, "--server", server, "--draw", tmp_path / "file") == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [["--tasks", "smells"], ["--tasks", ""], ["--concurrency", "0"], ["--format", "xml"], ["--out", "x"]]
)
async def test_wrong_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        await run("a.jpg", *wrong)
    assert caught.value.code == 2
    assert wrong[0] in capsys.readouterr().err


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """As at a terminal. What a shell starts in its background ignores Ctrl-C, and hands that on: these tests may be that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
async def test_ctrl_c_stops_it(server: str, script: Scripted, folder: Path) -> None:
    reached, gone = asyncio.Event(), asyncio.Event()

    async def hang(requests: Requests, _context: Any) -> AsyncIterator[StreamResponse]:
        try:
            async for _ in requests:
                reached.set()
        finally:
            gone.set()
        yield StreamResponse()

    script.stream = hang
    process = await asyncio.create_subprocess_exec(
        *COMMAND, folder, "--server", server, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    await asyncio.wait_for(reached.wait(), 30)
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out, err) == (130, b"", b"")
    await asyncio.wait_for(gone.wait(), 30)


@pytest.mark.parametrize("style", ["jsonl", "alto"])
async def test_a_reader_that_leaves_is_no_error(server: str, tmp_path: Path, style: str) -> None:
    for number in range(200):
        Image.new("RGB", (16, 16)).save(tmp_path / f"{number:03}.png")
    reader, writer = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *COMMAND, tmp_path, "--server", server, "--format", style, stdout=writer, stderr=asyncio.subprocess.PIPE
    )
    os.close(writer)
    assert len(await asyncio.to_thread(os.read, reader, 100)) > 20
    os.close(reader)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, err) == (141, b"")


async def test_a_server_of_its_own(
    script: Scripted, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The stand-in server says where the real one of this test listens.
    stand_in = """
import os, signal, sys
fd = int(sys.argv[sys.argv.index("--ready-fd") + 1])
assert "--exit-with-parent" in sys.argv
print("loading", file=sys.stderr, flush=True)
os.write(fd, (sys.argv[1] + "\\n").encode())
os.close(fd)
print("a request came", file=sys.stderr, flush=True)
signal.sigwait({signal.SIGTERM})
"""
    async with serving(script) as address:
        command = (
            sys.executable,
            "-c",
            "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {15})" + stand_in,
            address,
        )
        monkeypatch.setattr(command_module, "running", lambda show: running(show, command))
        assert await run(folder) == 0
    out, err = capsys.readouterr()
    assert out.count("Rue des Lilas") == 3
    assert "loading" in err


async def test_a_server_that_does_not_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (sys.executable, "-c", "import sys; print('no models', file=sys.stderr); sys.exit(4)")
    monkeypatch.setattr(command_module, "running", lambda show: running(show, command))
    assert await run(folder) == 3
    err = capsys.readouterr().err
    assert "no models" in err
    assert "status 4" in err


running = command_module.running


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
