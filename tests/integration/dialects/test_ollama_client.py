# SPDX-License-Identifier: Apache-2.0
"""The official client of Ollama for Python against the server: what it reads of answers, streams, models and refusals."""

from __future__ import annotations

import json
from typing import Any

import grpc
import httpx2
import ollama
import pytest
import pytest_asyncio
from ollama import AsyncClient
from support.fake_triton import FakeTriton, refusing
from support.running_gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

TAGS = {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}}}, "required": ["tags"]}


@pytest_asyncio.fixture(loop_scope="module")
async def client(running: Gateway) -> AsyncClient:
    return AsyncClient(host=running.http)


def about(image: bytes) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "What is this?", "images": [image]}]


async def test_it_generates_what_the_model_says(client: AsyncClient, jpeg: bytes) -> None:
    for model, response in (
        ("imagier-caption", "A brown cat standing on a rock."),
        ("imagier-tags:latest", "cat, tabby cat"),
        ("imagier-ocr", ""),
    ):
        answer = await client.generate(model=model, prompt="Describe this.", images=[jpeg])
        assert answer.response == response
        assert (answer.model, answer.done, answer.done_reason) == (model.removesuffix(":latest"), True, "stop")
        assert answer.total_duration
        assert answer.eval_count is None


async def test_it_chats_about_the_last_picture(client: AsyncClient, jpeg: bytes) -> None:
    turns = [*about(b"no picture"), {"role": "assistant", "content": "A dog."}, *about(jpeg)]
    answer = await client.chat(model="imagier-tags", messages=[*turns, {"role": "user", "content": "Are you sure?"}])
    assert (answer.message.role, answer.message.content) == ("assistant", "cat, tabby cat")


async def test_a_stream_gives_the_same_answer(client: AsyncClient, jpeg: bytes) -> None:
    said = [part async for part in await client.chat(model="imagier-tags", messages=about(jpeg), stream=True)]
    assert "".join(part.message.content or "" for part in said) == "cat, tabby cat"
    assert [part.done for part in said] == [False, True]
    made = [part async for part in await client.generate(model="imagier-tags", prompt="?", images=[jpeg], stream=True)]
    assert "".join(part.response or "" for part in made) == "cat, tabby cat"
    assert [part.done_reason for part in made] == [None, "stop"]


async def test_a_format_is_filled(client: AsyncClient, jpeg: bytes) -> None:
    answer = await client.generate(model="imagier", prompt="?", images=[jpeg], format=TAGS)
    assert json.loads(answer.response or "") == {"tags": ["cat", "tabby cat"]}
    answer = await client.generate(model="imagier-tags", prompt="?", images=[jpeg], format="json")
    assert json.loads(answer.response or "").keys() == {"tags", "labels", "keywords"}


async def test_names_are_in_the_language_that_a_header_prefers(running: Gateway, jpeg: bytes) -> None:
    french = AsyncClient(host=running.http, headers={"Accept-Language": "fr-FR, en;q=0.5"})
    assert (await french.generate(model="imagier-tags", prompt="?", images=[jpeg])).response == "chat, chat tigré"
    assert (await french.generate(model="imagier-caption", prompt="?", images=[jpeg])).response


async def test_the_models_are_those_installed(client: AsyncClient) -> None:
    listed = (await client.list()).models
    assert [model.model for model in listed] == [
        "imagier:latest", "imagier-caption:latest", "imagier-tags:latest", "imagier-ocr:latest",
    ]  # fmt: skip
    assert {len(model.digest or "") for model in listed} == {64}
    shown = await client.show("imagier-caption")
    assert shown.capabilities
    assert "vision" in shown.capabilities
    assert shown.license == "captioner: MIT"


async def test_a_model_is_loaded_without_a_picture(client: AsyncClient) -> None:
    assert (await client.generate(model="imagier")).done_reason == "load"
    assert (await client.chat(model="imagier", messages=[])).done_reason == "load"


async def test_the_version_is_the_servers(http: httpx2.AsyncClient) -> None:
    answer = (await http.get("/api/version")).json()
    assert answer.keys() == {"version"}
    assert answer["version"][0].isdigit()


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"model": "llava"}, 404, "there is no such model"),
        ({"images": None}, 400, "images: there is no picture"),
        ({"format": {"type": "object", "required": ["mood"]}}, 400, "format.mood: the schema requires a field"),
    ],
)
async def test_what_cannot_be_done_is_an_error_with_a_reason(
    client: AsyncClient, jpeg: bytes, asked: dict[str, Any], status: int, words: str
) -> None:
    with pytest.raises(ollama.ResponseError, match=words) as refused:
        await client.generate(**{"model": "imagier", "prompt": "Write a poem.", "images": [jpeg]} | asked)
    assert refused.value.status_code == status


async def test_so_it_is_with_a_stream(client: AsyncClient, fake: FakeTriton, jpeg: bytes) -> None:
    fake.behaviours["tagger"] = refusing(grpc.StatusCode.INTERNAL, "no")
    stream = await client.chat(model="imagier-tags", messages=about(jpeg), stream=True)
    with pytest.raises(ollama.ResponseError) as refused:
        await anext(aiter(stream))
    assert refused.value.status_code >= 500


async def test_several_pictures_are_refused(client: AsyncClient, jpeg: bytes) -> None:
    with pytest.raises(ollama.ResponseError, match="several pictures"):
        await client.generate(model="imagier", prompt="?", images=[jpeg, jpeg])


async def test_there_are_no_embeddings(client: AsyncClient) -> None:
    with pytest.raises(ollama.ResponseError, match="embeddings") as refused:
        await client.embed(model="imagier", input="cat")
    assert refused.value.status_code == 501
