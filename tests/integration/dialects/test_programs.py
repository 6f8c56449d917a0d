# SPDX-License-Identifier: Apache-2.0
"""The requests of programs as they send them, and their answers as they read them; each at the commit that it was read at."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

CAPTION = "A brown cat standing on a rock."
ZOD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["tags"],
    "additionalProperties": False,
}
"""Of z.object({ tags: z.array(z.string()) })."""


def lines(answer: httpx2.Response) -> list[Any]:
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


# Karakeep, packages/shared/inference.ts at 1282322.


def karakeep(picture: str, **changed: Any) -> dict[str, Any]:
    parts = [
        {"type": "text", "text": "You are an expert whose responsibility is to help with automatic text tagging"},
        {"type": "image_url", "image_url": {"url": picture, "detail": "low"}},
    ]
    schema = {"name": "schema", "strict": True, "schema": ZOD}
    return {
        "model": "imagier",
        "max_tokens": 2048,
        "response_format": {"type": "json_schema", "json_schema": schema},
        "messages": [{"role": "user", "content": parts}],
    } | changed


async def test_karakeep_tags_by_openai(http: httpx2.AsyncClient, data_url: str) -> None:
    headers = {"X-Title": "Karakeep", "HTTP-Referer": "https://karakeep.app", "Authorization": "Bearer none"}
    answer = (await http.post("/v1/chat/completions", json=karakeep(data_url), headers=headers)).json()
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"tags": ["cat", "tabby cat"]}
    assert answer["usage"]["total_tokens"] == 0
    loose = karakeep(data_url, response_format={"type": "json_object"}, model="imagier-tags")
    answer = (await http.post("/v1/chat/completions", json=loose)).json()
    assert json.loads(answer["choices"][0]["message"]["content"])["tags"] == ["cat", "tabby cat"]


async def test_karakeep_tags_by_ollama(http: httpx2.AsyncClient, encoded: str) -> None:
    # Older versions (00e6e9b) chat, newer ones generate; both gather a stream.
    common = {"model": "imagier", "format": ZOD, "stream": True, "options": {"num_ctx": 2048, "num_predict": 2048}}
    made = await http.post("/api/generate", json={**common, "keep_alive": "5m", "prompt": "Tags?", "images": [encoded]})
    assert json.loads("".join(part["response"] for part in lines(made))) == {"tags": ["cat", "tabby cat"]}
    messages = [{"role": "user", "content": "Tags?", "images": [encoded]}]
    chatted = await http.post("/api/chat", json={**common, "messages": messages})
    assert json.loads("".join(part["message"]["content"] for part in lines(chatted))) == {"tags": ["cat", "tabby cat"]}


async def test_karakeep_is_refused_what_has_no_picture(http: httpx2.AsyncClient, data_url: str) -> None:
    asked = karakeep(data_url, messages=[{"role": "user", "content": "Summarize this article."}])
    answer = await http.post("/v1/chat/completions", json=asked)
    assert answer.status_code == 400
    assert "no picture" in answer.json()["error"]["message"]


# paperless-gpt at 72ddde7, whose ocr/llm_provider.go calls through langchaingo: picture first, always said to be a JPEG.


async def test_paperless_gpt_reads_pages_by_openai(http: httpx2.AsyncClient, encoded: str) -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{encoded}"}},
        {"type": "text", "text": "Just transcribe the text in this image and preserve the formatting."},
    ]
    asked = {"model": "imagier-ocr", "messages": [{"role": "user", "content": parts}], "temperature": 0}
    answer = (await http.post("/v1/chat/completions", json=asked)).json()
    assert answer["choices"][0]["message"]["content"] == ""


async def test_paperless_gpt_reads_pages_by_ollama(http: httpx2.AsyncClient, encoded: str) -> None:
    # It leaves "stream" out if it wants none, and reads lines all the same; the format is empty.
    message = {"role": "user", "content": "Just transcribe the text in this image.", "images": [encoded]}
    options = {"num_ctx": 4096, "temperature": 0}
    asked = {"model": "imagier-tags", "messages": [message], "format": "", "options": options}
    answer = lines(await http.post("/api/chat", json=asked, headers={"accept": "application/x-ndjson"}))
    assert "".join(part["message"]["content"] for part in answer) == "cat, tabby cat"
    assert answer[-1]["done"] is True


# immich-analyze, src/host_manager.rs at 1677f4d.


async def test_immich_analyze_describes_by_ollama(http: httpx2.AsyncClient, encoded: str) -> None:
    listed = (await http.get("/api/tags")).json()["models"]
    assert "imagier-caption:latest" in [model["name"] for model in listed]
    message = {"role": "user", "content": "Describe this image.", "images": [encoded]}
    answer = await http.post("/api/chat", json={"model": "imagier-caption", "messages": [message], "stream": False})
    assert answer.json()["message"]["content"] == CAPTION
    assert answer.json()["done"] is True


async def test_immich_analyze_describes_by_openai(http: httpx2.AsyncClient, data_url: str) -> None:
    listed = (await http.get("/v1/models", headers={"authorization": "Bearer none"})).json()["data"]
    assert "imagier-caption" in [model["id"] for model in listed]
    parts = [{"type": "text", "text": "Describe this image."}, {"type": "image_url", "image_url": {"url": data_url}}]
    asked = {"model": "imagier-caption", "messages": [{"role": "user", "content": parts}], "stream": False}
    answer = (await http.post("/v1/chat/completions", json=asked)).json()
    assert answer["choices"][0]["message"]["content"] == CAPTION


async def test_immich_analyze_stops_at_a_fault_that_stays(http: httpx2.AsyncClient) -> None:
    # It tries 5xx and 429 again, and nothing else.
    broken = base64.b64encode(b"no picture").decode()
    message = {"role": "user", "content": "Describe this image.", "images": [broken]}
    answer = await http.post("/api/chat", json={"model": "imagier-caption", "messages": [message], "stream": False})
    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}


# Frigate, frigate/genai/plugins/ollama.py at 01f3369 and openai.py at 06ce190.


async def test_frigate_finds_the_model_and_describes_a_snapshot_by_ollama(
    http: httpx2.AsyncClient, encoded: str
) -> None:
    shown = (await http.post("/api/show", json={"model": "imagier-caption"})).json()
    assert "error" not in shown
    assert "vision" in shown["capabilities"]
    assert "embedding" not in shown["capabilities"]
    message = {"role": "user", "content": "Describe the object.\n[img]", "images": [encoded]}
    options = {"temperature": 0.5, "repeat_penalty": 1.05, "presence_penalty": 0.3}
    asked = {"model": "imagier-caption", "messages": [message], "stream": False, "options": options}
    answer = (await http.post("/api/chat", json=asked)).json()
    assert (answer["message"]["content"], answer["done"]) == (CAPTION, True)
    assert "prompt_eval_count" not in answer  # it measures a picture's tokens by the difference of two


async def test_frigate_describes_a_snapshot_by_openai(http: httpx2.AsyncClient, data_url: str) -> None:
    parts = [
        {"type": "text", "text": "Describe the object."},
        {"type": "image_url", "image_url": {"url": data_url, "detail": "low"}},
    ]
    asked = {"model": "imagier-caption", "messages": [{"role": "user", "content": parts}]}
    answer = (await http.post("/v1/chat/completions", json=asked)).json()
    assert answer["choices"][0]["message"]["content"] == CAPTION


async def test_frigate_is_refused_several_frames_reviews_and_vectors(http: httpx2.AsyncClient, encoded: str) -> None:
    frames = {"role": "user", "content": "[img]\n[img]", "images": [encoded, encoded]}
    answer = await http.post("/api/chat", json={"model": "imagier", "messages": [frames], "stream": False})
    assert (answer.status_code, "several pictures" in answer.json()["error"]) == (400, True)
    review = {"type": "object", "properties": {"scene": {"type": "string"}}, "required": ["scene"]}
    asked = {"model": "imagier", "messages": [frames], "stream": False, "format": review}
    answer = await http.post("/api/chat", json=asked)
    assert (answer.status_code, "format.scene" in answer.json()["error"]) == (400, True)
    answer = await http.post("/api/embed", json={"model": "imagier", "input": [{"image": encoded}]})
    assert (answer.status_code, "embeddings" in answer.json()["error"]) == (501, True)


# Open WebUI, backend/open_webui/routers/openai.py at 671f577: it hands the browser's request and the stream through.


async def test_open_webui_chats_about_a_picture(http: httpx2.AsyncClient, data_url: str) -> None:
    listed = (await http.get("/v1/models")).json()
    assert all(model["id"] and model["object"] == "model" for model in listed["data"])
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": data_url}}]
    asked = {"stream": True, "model": "imagier", "messages": [{"role": "user", "content": parts}]}
    answer = await http.post("/v1/chat/completions", json=asked)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    said = "".join(json.loads(event)["choices"][0]["delta"].get("content", "") for event in events[:-1])
    assert said == f"{CAPTION}\n\ncat, tabby cat"
