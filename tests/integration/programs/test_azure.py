# SPDX-License-Identifier: Apache-2.0
"""Piwigo's plugin Tag Recognition (9c950e5) with its API "Azure": the bytes that its curl sends, and what it reads of answers."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Any

import httpx2
import numpy as np
import pytest
from imagier_server.ledger.database import Database
from imagier_server.messages import Account
from support.fake_triton import FakeTriton, response
from support.ledger_cases import account
from support.raw_http import exchanged
from support.running_gateway import Gateway, picture

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/vision/v3.2/analyze"
PLUGIN = {"visualFeatures": "tags", "language": "en"}
KEY = "Ocp-Apim-Subscription-Key"


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    return picture(size=(64, 48))


@pytest.mark.parametrize("endpoint", ["", "/azure"], ids=["the address alone", "with the prefix"])
async def test_the_bytes_of_the_plugins_curl(running: Gateway, key: str, jpeg: bytes, endpoint: str) -> None:
    host = running.http.removeprefix("http://")
    head = (
        f"POST {endpoint}{PATH}?visualFeatures=tags&language=fr HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n"
        f"Content-Type: application/octet-stream\r\n{KEY}: {key}\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    )
    status, body = await exchanged(host, head.encode() + jpeg)
    assert status == 200
    tags = json.loads(body)["tags"]  # the property without which the plugin says "Api Error"
    assert [tag["name"] for tag in tags][:1] == ["chat"]


async def test_the_whole_answer(http: httpx2.AsyncClient, key: str, jpeg: bytes) -> None:
    answer = await http.post(PATH, params=PLUGIN, content=jpeg, headers={KEY: key})
    content = answer.json()
    assert set(content) == {"tags", "requestId", "metadata", "modelVersion"}
    assert [tag["name"] for tag in content["tags"]] == ["cat", "tabby cat"]
    assert all(set(tag) == {"name", "confidence"} and 0 < tag["confidence"] <= 1 for tag in content["tags"])
    assert content["metadata"] == {"width": 64, "height": 48, "format": "Jpeg"}
    assert uuid.UUID(content["requestId"])
    assert content["requestId"] == answer.headers["apim-request-id"]
    assert isinstance(content["modelVersion"], str)


async def test_features_and_languages_in_any_case_as_azure_takes_them(
    http: httpx2.AsyncClient, key: str, jpeg: bytes
) -> None:
    for query in ({"visualFeatures": "Tags"}, {"visualFeatures": " TAGS", "language": "zh-Hans"}):
        answer = await http.post(PATH, params=query, content=jpeg, headers={KEY: key})
        assert answer.status_code == 200, query


async def test_nothing_seen_is_an_empty_list(
    http: httpx2.AsyncClient, key: str, jpeg: bytes, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(request: Any, context: Any) -> Any:
        return response(scores=np.full((1, 1000), 0.001, np.float32))

    monkeypatch.setitem(triton.behaviours, "tagger", nothing)
    answer = await http.post(PATH, params=PLUGIN, content=jpeg, headers={KEY: key})
    assert (answer.status_code, answer.json()["tags"]) == (200, [])


@pytest.mark.parametrize(
    ("query", "body", "inner"),
    [
        ({"visualFeatures": "tags,description"}, b"", "NotSupportedVisualFeature"),
        ({"visualFeatures": "objects"}, b"", "NotSupportedVisualFeature"),
        ({}, b"", "NotSupportedVisualFeature"),
        ({"visualFeatures": "tags", "details": "Celebrities"}, b"", "InvalidDetails"),
        ({"visualFeatures": "tags", "language": "tlh"}, b"", "NotSupportedLanguage"),
        ({"visualFeatures": "tags", "language": "x" * 5000}, b"", "NotSupportedLanguage"),
        ({"visualFeatures": "tags", "language": ""}, b"", "NotSupportedLanguage"),
        (PLUGIN, b"", "InvalidImageFormat"),
        (PLUGIN, b"no picture", "InvalidImageFormat"),
    ],
)
async def test_what_cannot_be_answered_is_refused_in_azures_shape(
    http: httpx2.AsyncClient, key: str, query: dict[str, str], body: bytes, inner: str
) -> None:
    answer = await http.post(PATH, params=query, content=body, headers={KEY: key})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["innererror"]["code"]) == (400, "InvalidRequest", inner)
    assert error["message"] == error["innererror"]["message"] != ""
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize(
    ("kind", "body", "inner"),
    [
        ("application/json", b"{", "BadArgument"),
        ("application/json", b"[]", "InvalidImageUrl"),
        ("application/json", b'{"url": 7}', "InvalidImageUrl"),
        ("application/json", b'{"url": "http://10.0.0.1/a.jpg"}', "InvalidImageUrl"),
        ("application/json", b'{"url": "file:///etc/passwd"}', "InvalidImageUrl"),
        ("multipart/form-data; boundary=x", b"--x--", "UnsupportedMediaType"),
    ],
)
async def test_bodies_that_hold_no_picture(
    http: httpx2.AsyncClient, key: str, kind: str, body: bytes, inner: str
) -> None:
    answer = await http.post(PATH, params=PLUGIN, content=body, headers={KEY: key, "content-type": kind})
    assert (answer.status_code, answer.json()["error"]["innererror"]["code"]) == (400, inner)


async def test_a_picture_by_its_url_as_azures_own_clients_send_it(
    http: httpx2.AsyncClient, key: str, jpeg: bytes
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(jpeg), jpeg))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as site:
        port = site.sockets[0].getsockname()[1]
        asked = {"url": f"http://127.0.0.1:{port}/photo.jpg"}
        answer = await http.post(PATH, params=PLUGIN, json=asked, headers={KEY: key})
    assert (answer.status_code, answer.json()["metadata"]["width"]) == (200, 64)


@pytest.mark.parametrize("headers", [{}, {KEY: ""}, {KEY: "0123456789abcdef0123456789abcdef"}])
async def test_a_stranger_gets_azures_401(http: httpx2.AsyncClient, jpeg: bytes, headers: dict[str, str]) -> None:
    answer = await http.post(PATH, params=PLUGIN, content=jpeg, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "401")


async def test_only_what_succeeds_is_charged(
    http: httpx2.AsyncClient, ledger: Database, new_key: Callable[..., str], jpeg: bytes
) -> None:
    headers = {KEY: new_key("site", 1)}
    for query, body in ((PLUGIN, b"no picture"), ({"visualFeatures": "brands"}, jpeg)):
        assert (await http.post(PATH, params=query, content=body, headers=headers)).status_code == 400
    while account(ledger, "site").reserved:  # noqa: ASYNC110 - a thread makes it true
        await asyncio.sleep(0)
    assert account(ledger, "site") == Account("site", 1, 0, postpaid=False)
    assert (await http.post(PATH, params=PLUGIN, content=jpeg, headers=headers)).status_code == 200
    while account(ledger, "site").reserved:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    unpaid = await http.post(PATH, params=PLUGIN, content=jpeg, headers=headers)
    assert (unpaid.status_code, unpaid.json()["error"]["code"]) == (402, "402")
