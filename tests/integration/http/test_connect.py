# SPDX-License-Identifier: Apache-2.0
"""Connect's unary protocol, as connectrpc.com/docs/protocol has it."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import httpx2 as httpx
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2
from imagier.v1 import annotator_pb2, catalog_pb2, keywords_pb2, tags_pb2
from imagier_server.errors import Code
from imagier_server.transport.http import connect
from imagier_server.transport.parsing import WORDS_BYTES
from imagier_server.transport.statuses import STATUSES
from support.fake_triton import FakeTriton, never
from support.running_gateway import Gateway, picture

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICE = "/imagier.v1.AnnotatorService"
PICTURE = picture("BMP", (300, 300))  # longer in base64 than what is parsed
ENCODED = base64.b64encode(PICTURE).decode()
REQUEST = annotator_pb2.AnnotateRequest(image=PICTURE, request_id="seven", tags=tags_pb2.TagsOptions(max_tags=1))
BINARY = {"content-type": "application/proto", "connect-protocol-version": "1"}


def refused(answer: httpx.Response, code: Code, reason: str) -> dict[str, Any]:
    """The details by their types."""
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert (found["code"], answer.status_code) == (STATUSES[code].connect, STATUSES[code].connect_http)
    details = {}
    for each in found["details"]:
        kind = getattr(error_details_pb2, each["type"].removeprefix("google.rpc."))
        details[kind.__name__] = kind.FromString(base64.b64decode(each["value"] + "=="))
    assert details["ErrorInfo"].reason == reason
    assert ("RetryInfo" in details) == ("retry-after" in answer.headers)
    return details


async def test_json(client: httpx.AsyncClient) -> None:
    request = {"image": ENCODED, "requestId": "seven", "tags": {"maxTags": 1}}
    answer = await client.post(f"{SERVICE}/Annotate", json=request, headers={"connect-protocol-version": "1"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    found = json_format.ParseDict(answer.json(), annotator_pb2.AnnotateResponse())
    assert (found.request_id, found.width, [tag.names["en"] for tag in found.tags.tags]) == ("seven", 300, ["cat"])


async def test_binary_is_what_grpc_answers(client: httpx.AsyncClient, shared: Gateway) -> None:
    answer = await client.post(f"{SERVICE}/Annotate", content=REQUEST.SerializeToString(), headers=BINARY)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/proto")
    ours, theirs = annotator_pb2.AnnotateResponse.FromString(answer.content), await shared.stub.Annotate(REQUEST)
    for each in (ours, theirs):
        each.ClearField("timings")
    assert ours == theirs


async def test_every_unary_rpc_of_the_contract_is_there() -> None:
    for name, rpcs in connect.SERVICES.items():
        descriptor = annotator_pb2.DESCRIPTOR.pool.FindServiceByName(name)
        for method in descriptor.methods:
            if method.client_streaming:
                assert f"/{name}/{method.name}" in connect.STREAMS
            else:
                assert rpcs[method.name].request.DESCRIPTOR is method.input_type


async def test_the_other_rpcs(client: httpx.AsyncClient, shared: Gateway) -> None:
    answer = await client.post(f"{SERVICE}/GetCatalog", json={})
    theirs = await shared.stub.GetCatalog(catalog_pb2.GetCatalogRequest())
    assert json_format.ParseDict(answer.json(), catalog_pb2.GetCatalogResponse()) == theirs
    request = keywords_pb2.MatchKeywordsRequest(keywords=["cat"])
    answer = await client.post(f"{SERVICE}/MatchKeywords", content=request.SerializeToString(), headers=BINARY)
    assert keywords_pb2.MatchKeywordsResponse.FromString(answer.content) == await shared.stub.MatchKeywords(request)


async def test_gzip(client: httpx.AsyncClient) -> None:
    content = gzip.compress(REQUEST.SerializeToString())
    headers = {**BINARY, "content-encoding": "gzip"}
    assert (await client.post(f"{SERVICE}/Annotate", content=content, headers=headers)).status_code == 200
    answer = await client.post(f"{SERVICE}/Annotate", content=content, headers={**BINARY, "content-encoding": "br"})
    refused(answer, Code.UNSUPPORTED, "UNSUPPORTED_ENCODING")


@pytest.mark.parametrize(
    ("request_json", "field"),
    [
        ({"image": ENCODED, "tags": {"maxTags": 0}}, "tags.max_tags"),
        ({"image": ENCODED, "tags": {"max": 0}}, "tags.max"),
        ({"image": 7, "tags": {}}, "image"),
        ({"image": "?", "tags": {}}, "image"),
        ({"image": ENCODED}, "tags"),
        ([], None),
    ],
)
async def test_a_wrong_request_is_invalid_argument(
    client: httpx.AsyncClient, request_json: Any, field: str | None
) -> None:
    answer = await client.post(f"{SERVICE}/Annotate", json=request_json)
    reason = "INVALID_IMAGE" if request_json and request_json["image"] == "?" else "INVALID_REQUEST"
    details = refused(answer, Code.INVALID, reason)
    fields = details["BadRequest"].field_violations if "BadRequest" in details else []
    assert [each.field for each in fields] == ([field] if field else [])


async def test_bytes_that_are_no_message_or_out_of_proportion(client: httpx.AsyncClient) -> None:
    wordy = annotator_pb2.AnnotateRequest(image=b"?", languages=["x" * WORDS_BYTES])
    for content in (b"\xff" * 9, wordy.SerializeToString()):
        answer = await client.post(f"{SERVICE}/Annotate", content=content, headers=BINARY)
        refused(answer, Code.INVALID, "MALFORMED_REQUEST")
    answer = await client.post(f"{SERVICE}/Annotate", content=bytes(35 << 20), headers=BINARY)
    refused(answer, Code.INVALID, "IMAGE_TOO_LARGE")


async def test_protocol_faults(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{SERVICE}/Annotate", content=b"", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.headers["accept-post"]) == (415, "application/json, application/proto")
    for name, value in (
        ("connect-protocol-version", "2"),
        ("connect-timeout-ms", "1s"),
        ("connect-timeout-ms", "9" * 11),
    ):
        answer = await client.post(f"{SERVICE}/GetCatalog", json={}, headers={name: value})
        refused(answer, Code.INVALID, "INVALID_REQUEST")
    assert (await client.get(f"{SERVICE}/GetCatalog")).status_code == 405
    assert (await client.post(f"{SERVICE}/Dance", json={})).status_code == 404
    refused(await client.post(f"{SERVICE}/AnnotateStream", json={}), Code.UNSUPPORTED, "NOT_UNARY")


@pytest.mark.asyncio(loop_scope="function")
async def test_a_deadline(http: httpx.AsyncClient, fake: FakeTriton) -> None:
    fake.behaviours["tagger"] = never
    request = {"image": ENCODED, "tags": {}}
    answer = await http.post(f"{SERVICE}/Annotate", json=request, headers={"connect-timeout-ms": "300"})
    refused(answer, Code.DEADLINE, "DEADLINE_EXCEEDED")
    answer = await http.post(f"{SERVICE}/Annotate", json={**request, "ocr": {}}, headers={"connect-timeout-ms": "2000"})
    assert answer.json()["tags"]["status"]["code"] == 4, "its own status; the text stands"
    assert answer.json()["ocr"]["cost"] == 1
