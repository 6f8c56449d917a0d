# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document is valid, says what there is, and answers are as it says; the page made of it needs nobody else."""

from __future__ import annotations

import re
from typing import Any

import httpx2 as httpx
import jsonschema
import pytest
import pytest_asyncio
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.running_gateway import Gateway, picture

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/openapi.json")).json()
    return found


def check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(value)


async def test_it_is_valid(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


async def test_it_has_every_option_of_every_task(document: dict[str, Any], client: httpx.AsyncClient) -> None:
    catalog = (await client.get("/v1/catalog")).json()
    options = {f"{task['name']}.{option['name']}" for task in catalog["tasks"] for option in task["options"]}
    annotate = document["paths"]["/v1/annotate"]["post"]
    parameters = {parameter["name"]: parameter["schema"] for parameter in annotate["parameters"]}
    of_objects = {"tags.candidates"}  # in JSON only
    assert set(parameters) == options - of_objects | {task["name"] for task in catalog["tasks"]} | {
        "tasks",
        "languages",
        "request_id",
    }
    assert parameters["tags.max_tags"] == {
        "type": "integer", "minimum": 1, "maximum": 50, "description": "Default: 8."
    }  # fmt: skip
    content = annotate["requestBody"]["content"]
    assert set(content) >= {*catalog["formats"], "multipart/form-data", "application/json"}
    members = content["application/json"]["schema"]["properties"]
    assert members["tags"]["properties"]["maxTags"] == parameters["tags.max_tags"]
    candidate = {"label": "Rex", "prompts": ["a dog"]}
    check(document, members["tags"], {"candidates": [candidate]})
    assert (parameters["tags"]["type"], members["tags"]["type"]) == ("boolean", "object")


async def test_answers_and_problems_are_as_it_says(document: dict[str, Any], client: httpx.AsyncClient) -> None:
    annotate = document["paths"]["/v1/annotate"]["post"]
    answer = await client.post("/v1/annotate?tasks=tags,ocr,caption", content=picture())
    check(document, annotate["responses"]["200"]["content"]["application/json"]["schema"], answer.json())
    catalog = document["paths"]["/v1/catalog"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    check(document, catalog, (await client.get("/v1/catalog")).json())
    for content in (b"", b"x" * (33 << 20)):
        answer = await client.post("/v1/annotate?tasks=tags", content=content)
        response = annotate["responses"][str(answer.status_code)]
        check(document, response["content"]["application/problem+json"]["schema"], answer.json())


async def test_the_page(client: httpx.AsyncClient, shared: Gateway) -> None:
    answer = await client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert all(part in answer.text for part in ("/v1/annotate", "tags.max_tags", f"{shared.http}/v1/annotate"))
    assert all(part in answer.text for part in ("What to read: tags", "Another tenant", "Too Many Requests"))
    assert 'href="openapi.json"' in answer.text, "also under a prefix"
    assert not re.findall(r"<script|src=|url\(|@import|href=\"http", answer.text)
    answer = await client.get("/docs", headers={"host": "<b>"})
    assert "<b>" not in answer.text
