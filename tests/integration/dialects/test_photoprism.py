# SPDX-License-Identifier: Apache-2.0
"""PhotoPrism's requests as its package internal/ai/vision sends them in October 2026 (0214335), in each of its three formats.

Answers are read as engine_ollama.go (b731d94), engine_openai.go (0a2dcc9), api_response.go (2fe58f4) and caption.go (32e93cb) do.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx2
import pytest
from imagier_server.errors import Code
from imagier_server.transport.statuses import STATUSES
from support.fake_triton import FakeTriton, response
from support.made_captioner import said

pytestmark = pytest.mark.asyncio(loop_scope="module")

NATIVE = "/api/v1/vision"
LABEL = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "topicality": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["name", "confidence", "topicality"],
    "additionalProperties": False,
}
LABELS: dict[str, Any] = {
    "type": "object",
    "properties": {"labels": {"type": "array", "items": LABEL, "default": []}},
    "required": ["labels"],
    "additionalProperties": False,
}


def native(picture: str, **changed: Any) -> dict[str, Any]:
    asked = {"id": str(uuid.uuid4()), "model": "imagier", "version": "latest", "suffix": "", "stream": False}
    return asked | {"images": [picture]} | changed


def is_empty(result: dict[str, Any]) -> bool:
    """As ApiResult.IsEmpty, whose callers fail on it."""
    return (
        not result.get("labels")
        and not result.get("nsfw")
        and not result.get("embeddings")
        and not result.get("caption")
    )


async def test_native_labels_come_with_scores(http: httpx2.AsyncClient, data_url: str) -> None:
    asked = native(data_url, model="nasnet")
    answer = (await http.post(f"{NATIVE}/labels", json=asked)).json()
    assert (answer["id"], answer["code"]) == (asked["id"], 200)
    assert answer["model"] == {"type": "labels", "name": "brand", "version": "1"}
    assert [label["name"] for label in answer["result"]["labels"]] == ["cat", "tabby cat"]
    assert all(0.8 < label["confidence"] == label["topicality"] <= 1 for label in answer["result"]["labels"])


async def test_a_native_caption_comes_with_its_score(http: httpx2.AsyncClient, data_url: str) -> None:
    answer = (await http.post(f"{NATIVE}/caption", json=native(data_url, prompt="Describe it."))).json()
    assert answer["result"]["caption"]["text"] == "A brown cat standing on a rock."
    assert 0 < answer["result"]["caption"]["confidence"] <= 1


async def test_nothing_found_is_the_empty_result_that_it_takes_for_none(
    http: httpx2.AsyncClient, fake: FakeTriton, data_url: str
) -> None:
    async def nothing(request: Any, context: Any) -> Any:
        return response(**said("", ""))

    fake.behaviours["captioner"] = nothing
    answer = await http.post(f"{NATIVE}/caption", json=native(data_url))
    assert (answer.status_code, answer.json()["code"]) == (200, 200)
    assert is_empty(answer.json()["result"])


@pytest.mark.parametrize(
    ("path", "changed", "status"),
    [
        ("labels", {"images": []}, 400),
        ("labels", {"images": ["data:image/jpeg;base64,AAAA", "data:image/jpeg;base64,AAAA"]}, 400),
        ("labels", {"images": ["data:image/jpeg;base64,AAAA"]}, 400),
        ("labels", {"images": "data:image/jpeg;base64,AAAA"}, 400),
        ("caption", {"images": None, "url": "https://photos.example/api/v1/dl/1"}, 400),
        ("nsfw", {}, 501),
        ("face", {}, 501),
    ],
)
async def test_a_native_refusal_has_its_code_and_text_in_the_body(
    http: httpx2.AsyncClient, data_url: str, path: str, changed: dict[str, Any], status: int
) -> None:
    answer = await http.post(f"{NATIVE}/{path}", json=native(data_url, **changed))
    assert (answer.status_code, answer.json()["code"]) == (status, status)
    assert answer.json()["error"]
    assert is_empty(answer.json()["result"])
    assert "retry-after" not in answer.headers


async def test_an_id_that_is_none_is_not_repeated(http: httpx2.AsyncClient, data_url: str) -> None:
    answer = (await http.post(f"{NATIVE}/labels", json=native(data_url, id="<script>"))).json()
    assert answer["id"] == ""


async def test_labels_by_ollama(http: httpx2.AsyncClient, encoded: str) -> None:
    asked = {
        "id": str(uuid.uuid4()), "model": "imagier-tags:latest", "system": "You are a label engine.", "prompt": "Labels?",
        "suffix": "", "format": "json", "think": False, "stream": False, "images": [encoded],
        "options": {"temperature": 0.1, "top_p": 0.9, "stop": ["\n\n"]},
    }  # fmt: skip
    answer = (await http.post("/api/generate", json=asked, headers={"authorization": "Bearer none"})).json()
    assert answer["done"] is True
    labels = json.loads(answer["response"])["labels"]
    assert [label["name"] for label in labels] == ["cat", "tabby cat"]
    assert all(label["confidence"] > 0 and label["topicality"] > 0 for label in labels)


async def test_a_caption_by_ollama(http: httpx2.AsyncClient, encoded: str) -> None:
    asked = {
        "id": str(uuid.uuid4()), "model": "imagier-caption:latest", "prompt": "Write one sentence.", "suffix": "",
        "options": {"temperature": 0.1}, "think": False, "stream": False, "images": [encoded],
    }  # fmt: skip
    answer = (await http.post("/api/generate", json=asked)).json()
    assert answer["response"] == "A brown cat standing on a rock."


def responses(model: str, picture: str, **more: Any) -> dict[str, Any]:
    content = [
        {"type": "input_text", "text": "Analyze the image."},
        {"type": "input_image", "image_url": picture, "detail": "low"},
    ]
    system = {"role": "system", "type": "message", "content": [{"type": "input_text", "text": "You are an engine."}]}
    messages = [system, {"role": "user", "type": "message", "content": content}]
    return {"model": model, "input": messages, "max_output_tokens": 1024, **more}


def first_text(answer: dict[str, Any]) -> str:
    """As Response.FirstText."""
    texts = (part["text"] for item in answer["output"] for part in item["content"] if part.get("text", "").strip())
    return str(next(texts))


async def test_labels_by_responses_with_the_key_in_the_query_of_the_base_url(
    http: httpx2.AsyncClient, data_url: str
) -> None:
    form = {"type": "json_schema", "name": "photoprism_vision_labels_v1", "schema": LABELS, "strict": True}
    asked = responses("imagier", data_url, text={"format": form})
    answer = (await http.post("/v1/responses?key=none", json=asked)).json()
    labels = json.loads(first_text(answer))["labels"]
    assert [label.keys() for label in labels] == [{"name", "confidence", "topicality"}] * 2
    assert [label["name"] for label in labels] == ["cat", "tabby cat"]


async def test_a_caption_by_responses(http: httpx2.AsyncClient, data_url: str) -> None:
    answer = (await http.post("/v1/responses", json=responses("imagier-caption", data_url))).json()
    assert first_text(answer) == "A brown cat standing on a rock."


async def test_its_labels_with_nsfw_cannot_be_filled(http: httpx2.AsyncClient, data_url: str) -> None:
    label = LABEL | {
        "properties": {**LABEL["properties"], "nsfw": {"type": "boolean"}},  # type: ignore[dict-item]
        "required": [*LABEL["required"], "nsfw"],
    }
    schema = LABELS | {"properties": {"labels": {"type": "array", "items": label}}}
    asked = responses("imagier", data_url, text={"format": {"type": "json_schema", "name": "x", "schema": schema}})
    answer = await http.post("/v1/responses", json=asked)
    assert answer.status_code == STATUSES[Code.INVALID].http
    assert answer.json()["error"]["param"] == "text.format.schema.labels[].nsfw"
