# SPDX-License-Identifier: Apache-2.0
"""The programs of examples/, and the call that the documentation shows for other languages, run before a scripted server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import json_format
from imagier.v1 import annotator_pb2, annotator_pb2_grpc
from PIL import Image
from support.running_gateway import Gateway
from support.scripted_annotator import BAD_IMAGE, Requests, Scripted, StreamResponse, answer, serving

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def script() -> Scripted:
    return Scripted(image_bytes=2**20)


@pytest.fixture
async def server(script: Scripted) -> AsyncIterator[str]:
    async with serving(script) as address:
        yield address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, colour in (("b.jpg", "navy"), ("a.png", "teal")):
        Image.new("RGB", (100, 80), colour).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


async def run(*command: str | Path) -> tuple[int, str, str]:
    """Exit status, standard output and standard error. `imagier` is that of this environment."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PATH": path},
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_pictures_are_found_by_words(running: Gateway, folder: Path) -> None:
    (folder / "c.jpg").write_bytes(b"no picture")
    status, out, err = await run(sys.executable, EXAMPLES / "find_pictures.py", folder, "cat", running.address)
    assert status == 1
    assert sorted(line.split()[1] for line in out.splitlines()) == ["a.png", "b.jpg"]
    assert err.startswith("c.jpg: ")


async def test_a_folder(server: str, folder: Path) -> None:
    (folder / "c.jpg").symlink_to(folder / "missing")
    status, out, err = await run(sys.executable, EXAMPLES / "annotate_folder.py", folder, server)
    tags, text = "  tags: Egyptian cat 0.75", "  text: Rue des Lilas"
    assert out.splitlines() == ["a.png", tags, text, "b.jpg", tags, text]
    assert (status, err) == (1, "c.jpg: No such file or directory\n")


async def test_a_stream(server: str, script: Scripted, folder: Path) -> None:
    async def bad_jpeg(requests: Requests, _context: object) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            yield answer(item.request, BAD_IMAGE if item.request.image.startswith(b"\xff\xd8") else None)

    script.stream = bad_jpeg
    status, out, err = await run(sys.executable, EXAMPLES / "annotate_stream.py", folder, server)
    assert json.loads(out) == {"path": str(folder / "a.png"), "tags": ["Egyptian cat"]}
    assert (status, err) == (1, f"{folder / 'b.jpg'}: a fixed sentence\n")
    assert script.streams == 1


async def test_text_is_found(server: str, folder: Path) -> None:
    status, out, _ = await run(EXAMPLES / "find_text.sh", "LILAS", folder, server)
    assert status == 0
    pictures, lines = out.splitlines()[::2], out.splitlines()[1::2]
    assert [Path(line.split("  ")[0]).name for line in pictures] == ["a.png", "b.jpg"]
    assert lines == ["  text  0.99  Rue des Lilas"] * 2
    assert (await run(EXAMPLES / "find_text.sh", "roses", folder, server))[:2] == (0, "")


async def test_a_picture_is_named_once_for_all_its_lines(server: str, script: Scripted, folder: Path) -> None:
    async def two_lines(requests: Requests, _context: object) -> AsyncIterator[StreamResponse]:
        async for item in requests:
            response = answer(item.request)
            response.response.ocr.lines.add(text="Impasse des Lilas", confidence=0.5)
            yield response

    script.stream = two_lines
    _, out, _ = await run(EXAMPLES / "find_text.sh", "lilas", folder, server)
    assert [line.startswith("  text") for line in out.splitlines()] == [False, True, True] * 2


@pytest.mark.parametrize("program", ["annotate_folder.py", "annotate_stream.py", "find_text.sh"])
async def test_without_arguments_an_example_says_what_it_needs(program: str) -> None:
    interpreter = [sys.executable] if program.endswith(".py") else []
    status, out, err = await run(*interpreter, EXAMPLES / program)
    assert (status > 0, out) == (True, "")
    assert "FOLDER [HOST:PORT]" in err
    assert "Traceback" not in err


async def test_what_is_shown_to_other_languages_is_a_call(server: str, script: Scripted, folder: Path) -> None:
    shown = (ROOT / "docs" / "start" / "developer.md").read_text("utf-8")
    (line,) = re.findall(r"printf '(.*?)' \"\$\(base64 ", shown)
    (method,) = re.findall(r"grpcurl .* (imagier\.v1\.\w+/\w+)", shown)
    picture = (folder / "b.jpg").read_bytes()
    request = json_format.Parse(line % b64encode(picture).decode(), annotator_pb2.AnnotateRequest())
    async with grpc.aio.insecure_channel(server) as channel:
        assert method == "imagier.v1.AnnotatorService/Annotate"
        response = await annotator_pb2_grpc.AnnotatorServiceStub(channel).Annotate(request)
    assert script.requests[0].image == picture
    assert response.HasField("tags")
    assert response.HasField("ocr")
