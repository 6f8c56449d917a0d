# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent, the answer has the shape of the API that it was sent to, quotes nothing, and is no fault of the server."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "mysecretword"
OPENAI = ("/v1/chat/completions", "/v1/responses", "/v1/embeddings")
OLLAMA = ("/api/generate", "/api/chat", "/api/show", "/api/embed", "/api/embeddings")
PHOTOPRISM = ("/api/v1/vision/labels", "/api/v1/vision/caption", "/api/v1/vision/nsfw", "/api/v1/vision/face")


def error_of(path: str, content: dict[str, Any]) -> str:
    """The text of a refusal, whose shape is the API's own."""
    if path in OPENAI:
        error = content["error"]
        assert content.keys() == {"error"}
        assert error.keys() == {"message", "type", "param", "code"}
        return str(error["message"])
    if path in OLLAMA:
        assert content.keys() == {"error"}
        return str(content["error"])
    assert content.keys() == {"code", "error", "result"}
    return str(content["error"])


BODIES: tuple[Any, ...] = (
    b"",
    b"{",
    b"null",
    b"[]",
    b"7",
    b"\xff\xfe",
    b'{"model": "imagier"',
    b"[" * 100_000,
    b'{"model": ' + b"9" * 5000 + b"}",
    b'{"model": "' + b"a" * 70_000 + b'"}',
    b'{"a":1,' * 200_000,
    json.dumps({"model": "imagier", "messages": [{}] * 300_000, "input": [{}] * 1_000}).encode(),
    json.dumps({"model": "imagier", "images": [1] * 300_000}).encode(),
    json.dumps({"model": "imagier", "messages": [{"role": "user", "content": [{}] * 300_000}]}).encode(),
    json.dumps({"model": SECRET}).encode(),
    json.dumps({"model": "\ud800"}).encode(),
    json.dumps({"model": ["imagier"]}).encode(),
    json.dumps({"model": "imagier"}).encode(),
    json.dumps({"model": "imagier", "messages": SECRET, "input": SECRET, "images": SECRET}).encode(),
    json.dumps({"model": "imagier", "messages": [7], "input": [7], "images": [7]}).encode(),
    json.dumps({"model": "imagier", "messages": [{"role": "user", "content": [7], "images": [None]}]}).encode(),
    json.dumps({"model": "imagier", "stream": SECRET, "messages": [], "images": [SECRET]}).encode(),
    json.dumps({"model": "imagier", "format": 7, "prompt": SECRET, "response_format": 7, "text": 7}).encode(),
    json.dumps({"model": "imagier", "prompt": SECRET, "images": ["data:text/html;base64,PGI+"]}).encode(),
    json.dumps({"model": "imagier", "prompt": SECRET, "images": ["file:///etc/passwd"], "url": "file:///x"}).encode(),
)


@pytest.mark.parametrize("path", [*OPENAI, *OLLAMA, *PHOTOPRISM])
async def test_a_bad_body_is_refused_in_the_shape_of_the_api(http: httpx2.AsyncClient, path: str) -> None:
    for body in BODIES:
        answer = await http.post(path, content=body, headers={"content-type": "application/json"})
        if answer.status_code == 200:
            # Ollama loads a model that exists when it is asked for nothing; it also describes it.
            assert path in OLLAMA
            assert answer.json().get("done_reason", "load") == "load"
            continue
        assert answer.status_code in {400, 404, 413, 501}, body[:80]
        text = error_of(path, answer.json())
        assert text
        assert SECRET not in answer.text
        assert "passwd" not in answer.text


@pytest.mark.parametrize("path", [*OPENAI, *OLLAMA, *PHOTOPRISM])
async def test_only_the_methods_of_the_api_are_there(http: httpx2.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 405


async def test_nothing_of_a_request_is_logged(
    http: httpx2.AsyncClient, encoded: str, data_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    parts = [{"type": "text", "text": SECRET}, {"type": "image_url", "image_url": {"url": data_url}}]
    chat = {"model": "imagier", "messages": [{"role": "user", "content": parts}], "user": SECRET}
    refused = {"model": SECRET, "images": [encoded], "prompt": SECRET, "system": SECRET}
    with caplog.at_level("DEBUG"):
        assert (await http.post(f"/v1/chat/completions?key={SECRET}", json=chat)).status_code == 200
        assert (await http.post(f"/api/generate?key={SECRET}", json=refused)).status_code == 404
    # pytest itself gives uvicorn.access a handler; it has none, and hands nothing on.
    assert not logging.getLogger("uvicorn.access").propagate
    ours = [record for record in caplog.records if record.name.startswith(("imagier", "uvicorn.error", "starlette"))]
    assert ours
    written = "".join(f"{record.getMessage()} {getattr(record, 'fields', '')}" for record in ours)
    assert SECRET not in written
    assert encoded[:40] not in written
    assert "cat" not in written


FIELDS = (
    "model", "messages", "content", "type", "image_url", "url", "images", "input", "text", "format", "role",
    "response_format", "json_schema", "schema", "stream", "stream_options", "prompt", "properties", "tags",
)  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just("imagier"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@given(path=st.sampled_from([*OPENAI, *OLLAMA, *PHOTOPRISM]), value=json_values)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_json_is_a_fault_of_the_server(http: httpx2.AsyncClient, path: str, value: object) -> None:
    answer = await http.post(path, content=json.dumps(value))
    assert answer.status_code in {200, 400, 404, 413, 501}
    if answer.status_code != 200:
        assert error_of(path, answer.json())
