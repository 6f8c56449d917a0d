# SPDX-License-Identifier: Apache-2.0
"""Captions through the whole gateway: beside the other tasks, in which language, and on a server that does without them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from imagier.v1 import annotator_pb2, caption_pb2, catalog_pb2, ocr_pb2, tags_pb2
from imagier_server.model_lock import LOCK_NAME, write_lock_text
from imagier_server.tasks import registry
from support.fake_triton import FakeTriton, locked, never, serving
from support.running_gateway import Gateway, details, gateway, picture


def ask(*languages: str, **options: object) -> annotator_pb2.AnnotateRequest:
    return annotator_pb2.AnnotateRequest(
        image=picture(),
        languages=languages,
        tags=tags_pb2.TagsOptions(),
        ocr=ocr_pb2.OcrOptions(),
        caption=caption_pb2.CaptionOptions(**options),
    )


async def test_a_picture_in_a_sentence_out(running: Gateway) -> None:
    answer = (await running.stub.Annotate(ask(candidates=3))).caption
    assert [caption.text for caption in answer.captions] == ["A brown cat standing on a rock.", "A cat in a hat."]
    assert {(caption.language, caption.origin) for caption in answer.captions} == {("en", tags_pb2.ORIGIN_MACHINE)}
    assert answer.title == "Brown cat standing on rock"
    assert answer.cost == 1
    assert {(model.name, model.research_only) for model in answer.models} == {("captioner", True)}


async def test_what_the_captioner_is_not_sure_of_is_no_answer_and_no_failure(running: Gateway) -> None:
    """And no gift: it has looked at the picture."""
    answer = (await running.stub.Annotate(ask(min_score=1.0))).caption
    assert (answer.status.code, list(answer.captions), answer.title) == (0, [], "")
    assert (answer.guesses_left_out, answer.cost) == (1, 1)
    guessed = (await running.stub.Annotate(ask(min_score=1.0, include_guesses=True))).caption
    assert [(caption.text, caption.guess) for caption in guessed.captions] == [
        ("A brown cat standing on a rock.", True)
    ]
    assert (guessed.guesses_left_out, guessed.title, guessed.cost) == (0, "Brown cat standing on rock", 1)


async def test_every_reply_says_under_which_terms_it_may_be_used(running: Gateway) -> None:
    answer = await running.stub.Annotate(ask())
    assert not any(model.research_only for result in (answer.tags, answer.ocr) for model in result.models)
    catalog = await running.stub.GetCatalog(catalog_pb2.GetCatalogRequest())
    assert {model.name for model in catalog.models if model.research_only} == {"captioner"}


async def test_three_tasks_are_one_decode(running: Gateway, fake: FakeTriton) -> None:
    answer = await running.stub.Annotate(ask())
    assert (answer.tags.status.code, answer.ocr.status.code, answer.caption.status.code, answer.cost) == (0, 0, 0, 3)
    assert [stage.task for stage in answer.timings.stages].count("") == 1
    assert await running.metric('imagier_stage_duration_seconds_count{stage="decode",task=""}') == 1
    assert await running.metric('imagier_image_bytes_count{format="image/jpeg"}') == 1
    assert await running.metric('imagier_tasks_total{code="ok",task="caption"}') == 1
    assert [request.model_name for request in fake.requests].count("captioner") == 1


async def test_languages_for_tags_and_captions_at_once(running: Gateway) -> None:
    answer = await running.stub.Annotate(ask("fr", "en"))
    assert dict(answer.tags.tags[0].names) == {"fr": "chat", "en": "cat"}
    assert answer.caption.captions[0].language == "en"
    assert (list(answer.tags.unknown_languages), list(answer.caption.unknown_languages)) == ([], ["fr"])


async def test_a_language_that_the_captioner_does_not_speak_fails_the_caption_alone(
    running: Gateway, fake: FakeTriton
) -> None:
    answer = await running.stub.Annotate(ask("fr"))
    assert dict(answer.tags.tags[0].names) == {"fr": "chat"}
    assert answer.ocr.status.code == 0
    assert answer.caption.status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    found = details(answer.caption.status)
    assert found["BadRequest"].field_violations[0].field == "languages"
    assert "RetryInfo" not in found
    assert (answer.caption.cost, answer.cost) == (0, 2)
    assert "captioner" not in {request.model_name for request in fake.requests}


@pytest.mark.parametrize(("option", "value"), [("max_words", 3), ("candidates", 6), ("min_score", 1.5)])
async def test_an_option_out_of_range_is_a_fault_of_the_call(running: Gateway, option: str, value: float) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await running.stub.Annotate(ask(**{option: value}))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_caller_that_goes_away_takes_its_caption_back(running: Gateway, fake: FakeTriton) -> None:
    fake.behaviours["captioner"] = never
    call = running.stub.Annotate(annotator_pb2.AnnotateRequest(image=picture(), caption=caption_pb2.CaptionOptions()))
    async with asyncio.timeout(10):
        while not fake.requests:
            await running.ready()
        call.cancel()
        while not fake.cancelled:
            await running.ready()


@pytest.fixture
async def without(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> AsyncIterator[Gateway]:
    """A server whose repository has the captioner's config and assets, but no captioner."""
    others = {model: locked(model) for task in registry.tasks() if not task.optional for model in task.models}
    (repository / LOCK_NAME).write_text(write_lock_text(others), encoding="utf-8")
    fake.loaded.discard("captioner")
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port) as running:
        await running.until(ready=True)
        yield running


async def test_a_server_without_a_captioner_does_the_rest(without: Gateway) -> None:
    answer = await without.stub.Annotate(ask())
    assert (answer.tags.status.code, answer.ocr.status.code, answer.cost) == (0, 0, 2)
    assert answer.caption.status.code == grpc.StatusCode.UNIMPLEMENTED.value[0]
    found = details(answer.caption.status)
    assert found["ErrorInfo"].reason == "MODEL_NOT_INSTALLED"
    assert "RetryInfo" not in found
    assert not answer.caption.models
    assert await without.metric('imagier_tasks_total{code="unsupported",task="caption"}') == 1


async def test_a_server_without_a_captioner_answers_who_asks_for_nothing_else(without: Gateway) -> None:
    only = annotator_pb2.AnnotateRequest(image=picture(size=(4000, 3000)), caption=caption_pb2.CaptionOptions())
    answer = await without.stub.Annotate(only)
    assert answer.caption.status.code == grpc.StatusCode.UNIMPLEMENTED.value[0]
    assert (answer.width, answer.height, answer.cost) == (4000, 3000, 0)


async def test_the_catalogue_of_a_server_without_a_captioner(without: Gateway) -> None:
    catalog = await without.stub.GetCatalog(catalog_pb2.GetCatalogRequest())
    (caption,) = (task for task in catalog.tasks if task.name == "caption")
    assert (caption.ready, list(caption.languages), list(caption.models)) == (False, [], ["captioner"])
    assert "captioner" not in {model.name for model in catalog.models}
