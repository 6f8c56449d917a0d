# SPDX-License-Identifier: Apache-2.0
"""/v1 as a person with curl meets it."""

from __future__ import annotations

import base64
from typing import Any

import httpx2 as httpx
import pytest
from imagier.v1 import catalog_pb2
from support.fake_triton import FakeTriton
from support.made_pictures import encoded, noise
from support.running_gateway import Gateway, picture

pytestmark = pytest.mark.asyncio(loop_scope="module")

PICTURE = picture()
ENCODED = base64.b64encode(PICTURE).decode()


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [tag["names"]["en"] for tag in answer.json()["tags"]["tags"]]


def problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    assert found["retryable"] == ("retry-after" in answer.headers)
    return found


async def test_a_picture_is_the_body_and_its_tasks_are_in_the_query(
    client: httpx.AsyncClient, shared_fake: FakeTriton
) -> None:
    answer = await client.post("/v1/annotate?tasks=tags,ocr&request_id=seven", content=PICTURE)
    assert names(answer)[0] == "cat"
    found = answer.json()
    assert (found["requestId"], found["width"], found["height"], found["cost"]) == ("seven", 640, 480, 2)
    assert (found["ocr"]["lines"], found["ocr"]["status"]["code"]) == ([], 0), "what is empty is there"
    assert {request.model_name for request in shared_fake.requests[-2:]} == {"tagger", "text_detector"}


async def test_a_fingerprint_needs_no_model(client: httpx.AsyncClient, shared_fake: FakeTriton) -> None:
    soft, before = noise(16, 12), len(shared_fake.requests)
    answers = [
        await client.post("/v1/annotate?fingerprint.rotations=true", content=encoded(soft.resize(size), fmt))
        for fmt, size in (("JPEG", (1600, 1200)), ("PNG", (400, 300)))
    ]
    assert len(shared_fake.requests) == before
    assert [answer.json()["cost"] for answer in answers] == [1, 1]
    one, other = (answer.json()["fingerprint"] for answer in answers)
    first, second = (int.from_bytes(base64.b64decode(each["hash"])) for each in (one, other))
    assert (first ^ second).bit_count() <= 31
    assert len(one["rotations"]) == 7
    assert (one["models"], one["status"]["code"]) == ([], 0)


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream", "application/x-www-form-urlencoded"])
async def test_a_picture_of_any_content_type(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.post("/v1/annotate?tasks=tags", content=PICTURE, headers={"content-type": kind})
    assert names(answer)


async def test_a_form(client: httpx.AsyncClient) -> None:
    fields = {"tags.max_tags": "1", "tags.deny": ["dog", "car"], "languages": "fr,en", "ocr.words": "true"}
    answer = await client.post("/v1/annotate", files={"image": ("a name", PICTURE)}, data=fields)
    assert names(answer) == ["cat"]
    assert answer.json()["tags"]["tags"][0]["names"].keys() == {"fr", "en"}
    assert answer.json()["ocr"]["status"]["code"] == 0


@pytest.mark.parametrize("asking", ["tags=", "tags", "tags=true&caption=false", "tags=&tags.max_tags=1"])
async def test_a_task_by_its_name(client: httpx.AsyncClient, asking: str) -> None:
    answer = await client.post(f"/v1/annotate?{asking}", content=PICTURE)
    assert names(answer)[0] == "cat"
    assert "caption" not in answer.json()


async def test_tasks_as_empty_fields_of_a_form(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/annotate", files={"image": PICTURE}, data={"tags": "", "ocr": ""})
    assert names(answer)[0] == "cat"
    assert answer.json()["ocr"]["status"]["code"] == 0


async def test_a_picture_that_is_a_name_instead_of_a_file(client: httpx.AsyncClient) -> None:
    found = problem(await client.post("/v1/annotate?tasks=tags", files={"image": (None, b"photo.jpg")}))
    assert (found["status"], found["reason"], found["field"]) == (400, "INVALID_IMAGE", "image")
    assert "must be a file" in found["detail"]
    assert "photo.jpg" not in found["detail"].replace("-F image=@photo.jpg", "")


@pytest.mark.parametrize("prefix", ["", "data:image/jpeg;base64,", "data:;base64,"])
async def test_json(client: httpx.AsyncClient, prefix: str) -> None:
    answer = await client.post(
        "/v1/annotate", json={"image": prefix + ENCODED, "tags": {"maxTags": 1}, "tasks": ["ocr"]}
    )
    assert names(answer) == ["cat"]
    assert "ocr" in answer.json()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "tags"),
        ("tasks=dance", "tasks"),
        ("dance.fast=1", "dance.fast"),
        ("colour=red", "colour"),
        ("a%20letter=to+somebody", None),
        ("tags.max_tag=1", "tags.max_tag"),
        ("tags.=1", "tags"),
        ("tags=cat", "tags"),
        ("tags=false", "tags"),
        ("tags.max_tags=many", "tags.max_tags"),
        ("tags.max_tags=1&tags.max_tags=2", "tags.max_tags"),
        ("tags.max_tags=0", "tags.max_tags"),
        ("ocr.words=perhaps", "ocr.words"),
        ("tasks=tags&request_id=" + "7" * 129, "request_id"),
    ],
)
async def test_a_wrong_field_is_named(client: httpx.AsyncClient, query: str, field: str | None) -> None:
    answer = await client.post(f"/v1/annotate?{query}", content=PICTURE)
    found = problem(answer)
    assert (found["status"], found["reason"], found.get("field")) == (400, "INVALID_REQUEST", field)
    assert not found["retryable"]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], None),
        ({"image": ENCODED, "tags": []}, "tags"),
        ({"image": ENCODED, "tags": {"maxTags": {}}}, "tags.max_tags"),
        ({"image": ENCODED, "tags": True}, "tags"),
        ({"image": ENCODED, "tags": {"max": 1}}, "tags.max"),
        ({"image": ENCODED, "tags": {"my secret": 1}}, "tags"),
        ({"image": ENCODED, "my secret": 1}, None),
        ({"image": ENCODED, "tasks": "tags"}, "tasks"),
        ({"image": ENCODED, "languages": [1], "tags": {}}, "languages"),
        ({"image": ENCODED, "request_id": 7, "tags": {}}, "request_id"),
        ({"image": ENCODED, "tag": {}}, "tag"),
    ],
)
async def test_wrong_json_is_named(client: httpx.AsyncClient, document: Any, field: str | None) -> None:
    found = problem(await client.post("/v1/annotate", json=document))
    assert (found["status"], found["reason"], found.get("field")) == (400, "INVALID_REQUEST", field)
    assert "secret" not in str(found)


@pytest.mark.parametrize("image", [None, 7, "", "no base64", "data:image/png,plain", base64.b64encode(b"?").decode()])
async def test_json_without_a_picture(client: httpx.AsyncClient, image: Any) -> None:
    found = problem(await client.post("/v1/annotate", json={"image": image, "tags": {}}))
    assert (found["status"], found["reason"], found["field"]) == (400, "INVALID_IMAGE", "image")


async def test_the_catalogue_is_that_of_grpc(client: httpx.AsyncClient, shared: Gateway) -> None:
    ours = (await client.get("/v1/catalog")).json()
    theirs = await shared.stub.GetCatalog(catalog_pb2.GetCatalogRequest())
    assert [task["name"] for task in ours["tasks"]] == [task.name for task in theirs.tasks]
    assert ours["limits"]["imageBytes"] == str(theirs.limits.image_bytes), "as protobuf's JSON has 64 bits"


async def test_what_there_is_not(client: httpx.AsyncClient) -> None:
    assert problem(await client.get("/v1/dance"))["reason"] == "NOT_FOUND"
    answer = await client.get("/v1/annotate")
    assert (problem(answer)["reason"], answer.headers["allow"]) == ("METHOD_NOT_ALLOWED", "POST")
    assert "POST only" in answer.json()["detail"]


@pytest.mark.asyncio(loop_scope="function")
async def test_it_is_counted_as_http(http: httpx.AsyncClient, running: Gateway) -> None:
    await http.post("/v1/annotate?tasks=tags", content=PICTURE)
    assert await running.metric('imagier_requests_total{code="ok",lane="interactive",transport="http"}') == 1
