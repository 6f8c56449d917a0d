# SPDX-License-Identifier: Apache-2.0
"""The official client of OpenAI for Python against the server: what it reads of answers, streams and refusals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from pydantic import BaseModel
from support.fake_triton import FakeTriton, refusing
from support.running_gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Label(BaseModel):
    name: str
    confidence: float
    topicality: float


class Answer(BaseModel):
    title: str
    labels: list[Label]
    text: str | None = None


@pytest_asyncio.fixture(loop_scope="module")
async def client(running: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{running.http}/v1", api_key="none", max_retries=0) as made:
        yield made


def about(picture: str) -> list[Any]:
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": picture}}]
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]


async def test_a_completion_is_what_the_model_says(client: AsyncOpenAI, data_url: str) -> None:
    for model, content in (
        ("imagier-caption", "A brown cat standing on a rock."),
        ("imagier-tags", "cat, tabby cat"),
        ("imagier-ocr", ""),
        ("imagier", "A brown cat standing on a rock.\n\ncat, tabby cat"),
    ):
        answer = await client.chat.completions.create(model=model, messages=about(data_url))
        assert (answer.model, answer.object) == (model, "chat.completion")
        assert answer.choices[0].message.content == content
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage
        assert answer.usage.total_tokens == 0


async def test_a_type_of_the_callers_is_filled(client: AsyncOpenAI, data_url: str) -> None:
    answer = await client.chat.completions.parse(model="imagier", messages=about(data_url), response_format=Answer)
    parsed = answer.choices[0].message.parsed
    assert parsed
    assert parsed.title == "Brown cat standing on rock"
    assert [label.name for label in parsed.labels] == ["cat", "tabby cat"]
    assert all(0.8 < label.confidence == label.topicality <= 1 for label in parsed.labels)
    assert parsed.text is None


async def test_a_stream_gives_the_same_answer(client: AsyncOpenAI, data_url: str) -> None:
    stream = await client.chat.completions.create(
        model="imagier-caption", messages=about(data_url), stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == (
        "A brown cat standing on a rock."
    )
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices] == [None, None, "stop"]
    assert chunks[-1].usage
    assert chunks[-1].usage.total_tokens == 0
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_helper_of_the_client_gathers_the_stream(client: AsyncOpenAI, data_url: str) -> None:
    async with client.chat.completions.stream(
        model="imagier", messages=about(data_url), response_format=Answer
    ) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.parsed
    assert final.choices[0].message.parsed.title == "Brown cat standing on rock"


def given(picture: str) -> list[Any]:
    parts = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": picture}]
    return [{"role": "user", "content": parts}]


async def test_a_response_is_what_the_model_says(client: AsyncOpenAI, data_url: str) -> None:
    answer = await client.responses.create(model="imagier-tags", input=given(data_url), instructions="Be brief.")
    assert (answer.output_text, answer.status, answer.model) == ("cat, tabby cat", "completed", "imagier-tags")
    assert answer.usage
    assert answer.usage.total_tokens == 0
    parsed = await client.responses.parse(model="imagier", input=given(data_url), text_format=Answer)
    assert parsed.output_parsed
    assert parsed.output_parsed.title == "Brown cat standing on rock"


async def test_the_events_of_a_response_give_the_same_answer(client: AsyncOpenAI, data_url: str) -> None:
    async with client.responses.stream(model="imagier-tags", input=given(data_url)) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == "cat, tabby cat"
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    events = [
        each async for each in await client.responses.create(model="imagier-tags", input=given(data_url), stream=True)
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))


async def test_the_models_are_those_installed(client: AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert names == ["imagier", "imagier-caption", "imagier-tags", "imagier-ocr"]
    assert (await client.models.retrieve("imagier-ocr")).id == "imagier-ocr"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-5")


async def test_an_unknown_model_is_not_found(client: AsyncOpenAI, data_url: str) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        await client.chat.completions.create(model="gpt-5", messages=about(data_url))
    assert (refused.value.code, refused.value.param, refused.value.type) == (
        "model_not_found", "model", "invalid_request_error",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"messages": [{"role": "user", "content": "Write a poem."}]}, "messages"),
        ({"messages": []}, "messages"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format.schema"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"type": "object", "required": ["mood"]}},
                }
            },
            "response_format.schema.mood",
        ),
    ],
)
async def test_what_cannot_be_done_is_a_bad_request_that_names_the_parameter(
    client: AsyncOpenAI, data_url: str, changed: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(**{"model": "imagier", "messages": about(data_url)} | changed)
    assert (refused.value.param, refused.value.type) == (param, "invalid_request_error")
    assert refused.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"input": "Write a poem."}, "input"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}]}, "input"),
        (
            {"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}},
            "text.format.schema",
        ),
    ],
)
async def test_so_it_is_with_responses(client: AsyncOpenAI, data_url: str, changed: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(**{"model": "imagier", "input": given(data_url)} | changed)
    assert refused.value.param == param


async def test_several_pictures_and_addresses_are_refused(client: AsyncOpenAI, data_url: str) -> None:
    with pytest.raises(openai.BadRequestError, match="several pictures"):
        await client.responses.create(
            model="imagier", input=[{"role": "user", "content": given(data_url)[0]["content"] * 2}]
        )
    with pytest.raises(openai.BadRequestError, match="data: URL"):
        await client.chat.completions.create(model="imagier", messages=about("https://example.org/a.jpg"))


async def test_the_last_picture_of_a_conversation_is_meant(client: AsyncOpenAI, data_url: str) -> None:
    turns = [*about("data:image/png;base64,AAAA"), {"role": "assistant", "content": "A dog."}, *about(data_url)]
    turns.append({"role": "user", "content": "Are you sure?"})
    answer = await client.chat.completions.create(model="imagier-tags", messages=turns)
    assert answer.choices[0].message.content == "cat, tabby cat"


async def test_there_are_no_embeddings_and_a_client_does_not_try_again(running: Gateway, client: AsyncOpenAI) -> None:
    patient = client.with_options(max_retries=3)
    with pytest.raises(openai.APIStatusError, match="embeddings") as refused:
        await patient.embeddings.create(model="imagier", input="cat")
    assert refused.value.status_code == 501
    assert refused.value.response.request.headers["x-stainless-retry-count"] == "0"


async def test_a_full_queue_is_a_rate_limit_that_says_when(
    client: AsyncOpenAI, fake: FakeTriton, data_url: str
) -> None:
    fake.behaviours["tagger"] = refusing(grpc.StatusCode.UNAVAILABLE, "in request queue is full")
    with pytest.raises(openai.APIStatusError) as refused:
        await client.chat.completions.create(model="imagier-tags", messages=about(data_url))
    assert refused.value.status_code in {429, 503}
    assert int(refused.value.response.headers["retry-after"]) >= 1
    assert refused.value.response.headers["x-should-retry"] == "true"
    assert json.loads(refused.value.response.text)["error"].keys() == {"message", "type", "param", "code"}
