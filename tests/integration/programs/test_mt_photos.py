# SPDX-License-Identifier: Apache-2.0
"""MT-Photos, as its open AI service (mt-photos-ai 64a1de7, fork 62d370a) shows what it sends and reads; the program is closed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from imagier.v1 import annotator_pb2, embedding_pb2, ocr_pb2
from imagier_server.ledger.database import Database
from imagier_server.messages import Account
from PIL import Image
from support.ledger_cases import account
from support.made_embedder import DIMENSION
from support.raw_http import exchanged
from support.running_gateway import Gateway, picture
from support.site import BLUE, RED, file_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

Lines = Sequence[ocr_pb2.TextLine]
BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"


@dataclass(frozen=True)
class MtPhotos:
    """The program: `url` and `key` are its two settings."""

    url: str
    key: str | None

    async def post(self, path: str, body: bytes = b"", kind: str = "") -> tuple[int, Any]:
        """Sends the header `api-key` as the program does; reads JSON."""
        host, slash, prefix = self.url.removeprefix("http://").partition("/")
        lines = [f"POST {slash}{prefix}{path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
        lines += [f"api-key: {self.key}"] if self.key is not None else []
        lines += [f"Content-Type: {kind}"] if kind else []
        head = "".join(f"{line}\r\n" for line in lines)
        status, answer = await exchanged(host, f"{head}\r\n".encode() + body)
        return status, json.loads(answer)

    async def file(self, path: str, picture: bytes, field: str = "file") -> tuple[int, Any]:
        part = f'Content-Disposition: form-data; name="{field}"; filename="1.jpg"\r\nContent-Type: image/jpeg'
        body = f"--{BOUNDARY}\r\n{part}\r\n\r\n".encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()
        return await self.post(path, body, f"multipart/form-data; boundary={BOUNDARY}")


@pytest.fixture(params=["", "/mt-photos"], ids=["the address alone", "with the prefix"])
def program(request: pytest.FixtureRequest, running: Gateway, key: str) -> MtPhotos:
    return MtPhotos(f"{running.http}{request.param}", key)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lines(running: Gateway, key: str, page: bytes) -> Lines:
    """What the same server reads over gRPC."""
    asked = annotator_pb2.AnnotateRequest(image=page, ocr=ocr_pb2.OcrOptions())
    answer = await running.stub.Annotate(asked, metadata=(("x-api-key", key),))
    return answer.ocr.lines


@pytest.fixture
def photos(running: Gateway, key: str) -> MtPhotos:
    return MtPhotos(f"{running.http}/mt-photos", key)


async def test_its_connection_test(program: MtPhotos, running: Gateway) -> None:
    status, answer = await program.post("/check")
    assert (status, answer["result"]) == (200, "pass")
    assert await MtPhotos(program.url, "wrong").post("/check") == (401, {"detail": "Invalid API key"})


async def test_the_forks_connection_test_has_no_key(program: MtPhotos) -> None:
    status, answer = await MtPhotos(program.url, None).post("/check")
    assert (status, answer["result"]) == (200, "pass")


async def test_text_comes_in_strings_of_at_most_two_decimals(program: MtPhotos, page: bytes, lines: Lines) -> None:
    status, answer = await program.file("/ocr", page)
    result = answer["result"]
    assert (status, result["texts"]) == (200, [line.text for line in lines])
    assert [line.text for line in lines] == [RED, BLUE]
    assert result["scores"] == [str(round(line.confidence, 2)) for line in lines]
    numbers = [value for box in result["boxes"] for value in box.values()]
    assert all(isinstance(number, str) and len(number.partition(".")[2]) in {1, 2} for number in numbers)


async def test_boxes_are_in_pixels_and_hold_all_corners_of_a_rotated_line(
    photos: MtPhotos, page: bytes, lines: Lines
) -> None:
    _, answer = await photos.file("/ocr", page)
    for line, box in zip(lines, answer["result"]["boxes"], strict=True):
        across, down = [point.x for point in line.polygon], [point.y for point in line.polygon]
        sides = {"x": min(across), "y": min(down), "width": max(across) - min(across), "height": max(down) - min(down)}
        assert {name: float(value) for name, value in box.items()} == pytest.approx(sides, abs=0.006)
    # It rises: the corner where reading begins is not the box's.
    assert min(point.y for point in lines[1].polygon) < lines[1].polygon[0].y - 50


async def test_nothing_found_is_three_empty_lists(photos: MtPhotos) -> None:
    blank = file_of(Image.new("RGB", (64, 64), "white"))
    assert await photos.file("/ocr", blank) == (200, {"result": {"texts": [], "scores": [], "boxes": []}})


@pytest.mark.parametrize("broken", [b"", b"no picture", picture()[:700]])
async def test_a_picture_that_cannot_be_read_is_200_without_a_result(photos: MtPhotos, broken: bytes) -> None:
    status, answer = await photos.file("/ocr", broken)
    assert (status, answer["result"], set(answer)) == (200, [], {"result", "msg"})
    assert answer["msg"]


async def test_a_side_of_more_than_ten_thousand_pixels_is_200_with_its_own_sentence(photos: MtPhotos) -> None:
    long = file_of(Image.new("RGB", (10_001, 8), "white"))
    assert await photos.file("/ocr", long) == (200, {"result": [], "msg": "height or width out of range"})


async def test_a_missing_key_is_422_and_a_wrong_one_401(program: MtPhotos, page: bytes) -> None:
    for path in ("/ocr", "/clip/img", "/clip/txt", "/represent", "/restart", "/restart_v2"):
        status, answer = await MtPhotos(program.url, None).file(path, page)
        assert (status, answer["detail"][0]["loc"]) == (422, ["header", "api-key"]), path
        for wrong in ("", "wrong"):
            refused = await MtPhotos(program.url, wrong).file(path, page)
            assert refused == (401, {"detail": "Invalid API key"}), path


async def test_a_form_without_the_file_is_422(photos: MtPhotos, page: bytes) -> None:
    status, answer = await photos.file("/ocr", page, "image")
    assert (status, answer["detail"][0]["loc"]) == (422, ["body", "file"])
    status, answer = await photos.post("/ocr", page, "image/png")
    assert status in {400, 422}
    assert answer["detail"]


async def test_vectors_of_pictures_and_words_come_in_strings_of_sixteen_decimals(
    program: MtPhotos, running: Gateway, key: str, page: bytes
) -> None:
    metadata = (("x-api-key", key),)
    asked = annotator_pb2.AnnotateRequest(image=page, embedding=embedding_pb2.EmbeddingOptions())
    ours = (await running.stub.Annotate(asked, metadata=metadata)).embedding.vector.values
    status, answer = await program.file("/clip/img", page)
    assert (status, answer["result"]) == (200, [f"{number:.16f}" for number in ours])
    texts = embedding_pb2.EmbedTextRequest(texts=["red cat"])
    words = (await running.stub.EmbedText(texts, metadata=metadata)).embeddings[0].vector.values
    searched = await program.post("/clip/txt", json.dumps({"text": "red cat"}).encode(), "application/json")
    assert searched == (200, {"result": [f"{number:.16f}" for number in words]})
    assert len(words) == len(ours) == DIMENSION
    assert set(answer) == {"result"}, "the README says results, the code result"


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"text": 1}'])
async def test_a_search_without_words_is_422(photos: MtPhotos, body: bytes) -> None:
    status, answer = await photos.post("/clip/txt", body, "application/json")
    assert (status, answer["detail"][0]["loc"]) == (422, ["body", "text"])


async def test_a_picture_without_a_vector_is_200_without_a_result(photos: MtPhotos) -> None:
    status, answer = await photos.file("/clip/img", b"no picture")
    assert (status, answer["result"]) == (200, [])
    assert answer["msg"]


async def test_faces_are_refused_and_not_taken_for_a_picture_without_any(photos: MtPhotos, page: bytes) -> None:
    status, answer = await photos.file("/represent", page)
    assert (status, set(answer)) == (501, {"detail"})


async def test_what_there_is_to_see_without_a_key(running: Gateway) -> None:
    async with httpx2.AsyncClient(base_url=running.http, trust_env=False) as browser:
        for path in ("/mt-photos", "/mt-photos/"):
            page = await browser.get(path, headers={"accept": "text/html"})
            assert (page.status_code, "MT-Photos" in page.text) == (200, True)
        assert (await browser.get("/mt-photos/ping")).text == "pong"  # the fork's


async def test_a_restart_is_answered_without_one(program: MtPhotos, page: bytes) -> None:
    for path in ("/restart", "/restart_v2"):
        assert await program.post(path) == (200, {"result": "pass"})
    assert (await program.file("/ocr", page))[1]["result"]["texts"]


async def test_only_pictures_that_were_read_are_charged(
    running: Gateway, ledger: Database, new_key: Callable[..., str], page: bytes
) -> None:
    site = MtPhotos(f"{running.http}/mt-photos", new_key("family", 2))
    await site.file("/ocr", b"no picture")
    await site.file("/ocr", file_of(Image.new("RGB", (10_001, 8))))
    while account(ledger, "family").reserved:  # noqa: ASYNC110 - a thread makes it true
        await asyncio.sleep(0)
    assert account(ledger, "family") == Account("family", 2, 0, postpaid=False)
    read = 0
    while (answer := await site.file("/ocr", page))[0] == 200:
        read += 1
    assert read >= 1
    # Credits that are used up are no empty result: the picture would be taken for one without text.
    assert (answer[0], set(answer[1])) == (402, {"detail"})
