# SPDX-License-Identifier: Apache-2.0
"""What a caller may get wrong, against the whole gateway: a permanent error that names the field, and the next caller is served."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from imagier.v1 import annotator_pb2, keywords_pb2, ocr_pb2, tags_pb2
from imagier_client.cli import annotating, main
from imagier_client.files.paths import find_pictures
from support import made_pictures as made
from support.fake_triton import FakeTriton, serving
from support.heic import heic
from support.running_gateway import Gateway, details, gateway, status_of, tags_and_text

NAN, INFINITY = float("nan"), float("inf")
GOOD = made.encoded(made.quadrants(32, 16), "JPEG")


async def field_at_fault(running: Gateway, request: annotator_pb2.AnnotateRequest) -> str:
    """The field that the permanent error names, which this request gets alone and on a stream alike."""

    async def requests() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
        yield annotator_pb2.AnnotateStreamRequest(request=request)
        yield annotator_pb2.AnnotateStreamRequest(request=tags_and_text(GOOD, "good"))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await running.stub.Annotate(request)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT, raised.value
    alone = status_of(raised.value)
    answers = [answer async for answer in running.stub.AnnotateStream(requests())]
    (faulty,) = (answer.error for answer in answers if answer.HasField("error"))
    (good,) = (answer.response for answer in answers if answer.HasField("response"))
    assert alone == faulty
    assert (good.tags.status.code, good.ocr.status.code) == (0, 0)
    found = details(alone)
    assert "RetryInfo" not in found
    assert alone.message
    return str(found["BadRequest"].field_violations[0].field)


async def test_absurd_options(running: Gateway) -> None:
    def request(**tags: object) -> annotator_pb2.AnnotateRequest:
        return annotator_pb2.AnnotateRequest(image=GOOD, tags=tags_pb2.TagsOptions(**tags))

    def reading(confidence: float) -> annotator_pb2.AnnotateRequest:
        return annotator_pb2.AnnotateRequest(image=GOOD, ocr=ocr_pb2.OcrOptions(min_confidence=confidence))

    absurd = {
        "tags.max_tags": [request(max_tags=value) for value in (-1, 0, 51, 2**31 - 1, -(2**31))],
        "tags.min_score": [request(min_score=value) for value in (-0.1, 1.1, NAN, INFINITY, -INFINITY)],
        "ocr.min_confidence": [reading(value) for value in (-0.1, 1.1, NAN, INFINITY, -INFINITY)],
        "tags.allow": [request(allow=["cat"] * 100_000)],
        "tags.deny": [request(deny=["cat"] * 100_000)],
        "tags.existing_tags": [request(existing_tags=["cat"] * 100_000)],
        "tags.allow[1]": [request(allow=["cat", "c" * 1_000_000])],
        "languages": [
            annotator_pb2.AnnotateRequest(image=GOOD, tags=tags_pb2.TagsOptions(), languages=["en"] * 100_000)
        ],
        "languages[1]": [
            annotator_pb2.AnnotateRequest(image=GOOD, tags=tags_pb2.TagsOptions(), languages=["en", "e" * 1_000_000])
        ],
        "request_id": [tags_and_text(GOOD, "x" * 1_000_000)],
        "tags": [annotator_pb2.AnnotateRequest(image=GOOD)],
    }
    for field, requests in absurd.items():
        for each in requests:
            assert await field_at_fault(running, each) == field
    odd = await running.stub.Annotate(request(min_score=0.0, max_tags=50, allow=["", " ", "\0", "\U0010ffff", "cat"]))
    assert odd.tags.status.code == 0
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await running.stub.MatchKeywords(keywords_pb2.MatchKeywordsRequest(keywords=["cat"] * 100_000))
    assert details(status_of(raised.value))["BadRequest"].field_violations[0].field == "keywords"


async def test_bad_pictures(running: Gateway) -> None:
    noise = made.noise(32, 32)
    bad = [
        b"",
        b"no picture",
        *(made.encoded(noise, fmt)[:-200] for fmt in ("JPEG", "PNG", "WEBP", "TIFF")),
        made.png((30_000, 30_000), bytes(100_000), depth=1, colour=0),
        made.with_scans(1000, (3000, 3000)),
    ]
    for image in bad:
        assert await field_at_fault(running, tags_and_text(image)) == "image"
    assert await running.metric("imagier_decoder_restarts_total") == 0


async def test_unusual_pictures(running: Gateway) -> None:
    unusual = {
        (1, 1): made.text_bomb(b"zTXt"),
        (20_000, 1): made.encoded(made.quadrants(20_000, 2).crop((0, 0, 20_000, 1))),
        (1, 20_000): made.encoded(made.quadrants(2, 20_000).crop((0, 0, 1, 20_000))),
        (64, 128): heic(made.quadrants(), 1),
        (128, 64): made.encoded(made.quadrants(), "AVIF"),
        (16, 32): made.encoded(made.quadrants(32, 16), "JPEG", exif=made.orientation(8)),
    }
    for size, image in unusual.items():
        answer = await running.stub.Annotate(tags_and_text(image))
        assert (answer.tags.status.code, answer.ocr.status.code) == (0, 0), size
        assert (answer.width, answer.height) == size


async def test_words_out_of_proportion_are_that_pictures_fault(running: Gateway) -> None:
    wordy = tags_and_text(GOOD, "wordy")
    wordy.tags.existing_tags.extend(["cat"] * 1_000_000)

    async def requests() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
        yield annotator_pb2.AnnotateStreamRequest(request=wordy)
        yield annotator_pb2.AnnotateStreamRequest(request=tags_and_text(GOOD, "good"))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await running.stub.Annotate(wordy)
    answers = {answer.request_id: answer async for answer in running.stub.AnnotateStream(requests())}
    assert answers["wordy"].error == status_of(raised.value)
    assert details(answers["wordy"].error)["ErrorInfo"].reason == "MALFORMED_REQUEST"
    assert answers["good"].response.tags.status.code == 0


async def test_a_message_over_the_limit_leaves_the_server_as_it_was(
    repository: object, fake: FakeTriton, unused_tcp_port: int
) -> None:
    """Up to 2 MiB over it the error is ours and names the field; beyond, gRPC ends the call before anything of it is read."""
    most, over = 1 << 16, 3 << 20
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, max_image_bytes=most) as small:
        await small.until(ready=True)
        assert await field_at_fault(small, tags_and_text(GOOD + bytes(most))) == "image"
        for padding in ({"image": bytes(most + over)}, {"languages": ["x" * (most + over)]}):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await small.stub.Annotate(annotator_pb2.AnnotateRequest(tags=tags_pb2.TagsOptions(), **padding))
            assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "grpc-retry-pushback-ms" not in dict(raised.value.trailing_metadata() or ())
        answer = await small.stub.Annotate(tags_and_text(GOOD))
        assert answer.tags.status.code == 0


@pytest.fixture
def awkward(tmp_path: Path) -> Iterator[Path]:
    """A folder with one good picture, and all that a path may be but a readable file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "good.txt.jpg").write_bytes(made.encoded(made.quadrants(32, 16), "PNG"))  # a wrong suffix
    os.mkfifo(folder / "fifo.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "circle.jpg").symlink_to("circle.jpg")
    (folder / "gone.jpg").symlink_to("nothing")
    (folder / "memory.jpg").symlink_to("/proc/self/mem")  # a regular file that cannot be read
    (folder / "folder.jpg").mkdir()
    (folder / "folder.jpg" / "again").symlink_to(folder)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "socket.jpg"))
        yield folder


async def test_the_command_among_awkward_paths(
    running: Gateway, awkward: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vanishing = awkward / "vanishing.jpg"
    vanishing.write_bytes(GOOD)

    def search(*arguments: Any) -> Iterator[Any]:
        found = list(find_pictures(*arguments))
        vanishing.unlink()
        return iter(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(annotating, "find_pictures", search)
        arguments = [
            "annotate",
            str(awkward),
            str(awkward / "missing.jpg"),
            "--server",
            running.address,
            "--format",
            "jsonl",
        ]
        assert await asyncio.to_thread(main, arguments) == 1
    out, _ = capsys.readouterr()
    lines = {Path(line["path"]).name: line for line in map(json.loads, out.splitlines())}
    assert (lines["good.txt.jpg"]["response"]["width"], lines["good.txt.jpg"]["response"]["height"]) == (32, 16)
    bad = {
        "fifo.jpg",
        "device.jpg",
        "circle.jpg",
        "gone.jpg",
        "memory.jpg",
        "socket.jpg",
        "vanishing.jpg",
        "missing.jpg",
    }
    assert lines.keys() == bad | {"good.txt.jpg"}
    for name in bad:
        error = lines[name]["error"]
        assert (error["code"], error["reason"], error["field"]) == ("INVALID_ARGUMENT", "UNREADABLE_FILE", "image")
        assert error["message"]
        assert not error["retryable"]


@pytest.mark.parametrize("tasks", ["", ",", "tag", "tags,faces", "TAGS;text"])
def test_the_command_knows_its_tasks(tasks: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", "a.jpg", "--tasks", tasks]) == 2
    assert "'--tasks': choose from caption,tags,ocr" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--max-tags", "-1"), ("--max-tags", "99999999999999999999"), ("--min-score", "nan"), ("--min-score", "-inf")],
)
def test_the_command_with_absurd_options(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", "a.jpg", f"{option}={value}"]) == 2
    assert f"'{option}': a " in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--max-tags", "51"), ("--max-tags", str(2**31 - 1))])
async def test_the_command_with_options_that_only_the_server_can_judge(
    running: Gateway, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    (tmp_path / "a.jpg").write_bytes(GOOD)
    arguments = ["annotate", str(tmp_path), f"{option}={value}", "--server", running.address, "--format", "jsonl"]
    assert await asyncio.to_thread(main, arguments) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["field"]) == ("INVALID_ARGUMENT", f"tags.{option[2:].replace('-', '_')}")
