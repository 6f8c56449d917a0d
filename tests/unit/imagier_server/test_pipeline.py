# SPDX-License-Identifier: Apache-2.0
"""The pipeline before a scripted engine and a scripted decoder: who fails when, what is refused, what is given back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from imagier_server.call import CallContext, Lane
from imagier_server.errors import (
    DeadlineError,
    ImageTooLargeError,
    ImagierError,
    InternalError,
    InvalidRequestError,
    LongSideError,
    ModelNotInstalledError,
    ModelUnavailableError,
    OverloadedError,
)
from imagier_server.messages import AnnotateRequest, ModelReference
from imagier_server.tasks.caption.values import CaptionOptions
from imagier_server.tasks.ocr.values import OcrOptions, Text
from imagier_server.tasks.tags.values import Tags, TagsOptions
from support.calls import call
from support.scripted_pipeline import IMAGE, Bench, both


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ThreadPoolExecutor(2) as threads:
        yield Bench(threads)


async def test_one_decode_serves_both_tasks_at_the_larger_scale(bench: Bench) -> None:
    annotation = await bench.pipeline.annotate(both(), call())
    assert bench.decoder.scales == [0.5]
    assert annotation.outcomes["tags"].result == Tags(())
    assert annotation.outcomes["ocr"].result == Text(())
    assert annotation.cost == 3
    assert {task for task, _ in annotation.timings.stages} == {"", "tags", "ocr"}
    assert {lane for _, lane, _ in bench.engine.calls} == {Lane.INTERACTIVE}


async def test_three_tasks_cost_one_decode(bench: Bench) -> None:
    wanted = {"tags": TagsOptions(), "caption": CaptionOptions(), "ocr": OcrOptions()}
    annotation = await bench.pipeline.annotate(AnnotateRequest(IMAGE, wanted), call())
    assert bench.decoder.scales == [0.5]
    assert {name: outcome.error for name, outcome in annotation.outcomes.items()} == dict.fromkeys(wanted)
    assert annotation.cost == 4


async def test_a_picture_longer_than_its_caller_takes_is_refused_before_any_task(bench: Bench) -> None:
    picture = await bench.decoder.decode(IMAGE, lambda width, height: 1.0, call())
    longest = max(picture.width, picture.height)
    assert (await bench.pipeline.annotate(replace(both(), longest_side=longest), call())).outcomes["tags"].result
    asked = len(bench.engine.calls)
    with pytest.raises(LongSideError):
        await bench.pipeline.annotate(replace(both(), longest_side=longest - 1), call())
    assert len(bench.engine.calls) == asked


async def test_a_task_whose_model_is_not_installed_fails_alone_and_for_good(bench: Bench) -> None:
    bench.pipeline = replace(bench.pipeline, models={"tags_model": ModelReference("tags_model", "1")})
    wanted = {"tags": TagsOptions(), "caption": CaptionOptions()}
    annotation = await bench.pipeline.annotate(AnnotateRequest(IMAGE, wanted), call())
    error = annotation.outcomes["caption"].error
    assert isinstance(error, ModelNotInstalledError)
    assert error.retry_after is None
    assert {model for model, _, _ in bench.engine.calls} == {"tags_model"}
    assert annotation.cost == 1


async def test_a_failed_task_fails_alone_and_costs_nothing(bench: Bench) -> None:
    bench.engine.answers["ocr_model"] = ModelUnavailableError("the model ocr_model is not ready")
    annotation = await bench.pipeline.annotate(both(), call())
    assert annotation.outcomes["tags"].error is None
    assert isinstance(annotation.outcomes["ocr"].error, ModelUnavailableError)
    assert annotation.cost == 1
    assert bench.value("imagier_tasks_total", task="ocr", code="unavailable") == 1
    assert bench.value("imagier_tasks_total", task="tags", code="ok") == 1
    assert bench.value("imagier_requests_total", transport="grpc", lane="interactive", code="ok") == 1


async def test_tasks_asked_for_together_fail_together(bench: Bench) -> None:
    bench.engine.answers["ocr_model"] = ModelUnavailableError("the model ocr_model is not ready")
    with pytest.raises(ModelUnavailableError):
        await bench.pipeline.annotate(replace(both(), together=True), call())
    for task in ("tags", "ocr"):
        assert bench.value("imagier_tasks_total", task=task, code="unavailable") == 1


async def test_a_bug_in_a_task_is_an_internal_error_without_its_text(bench: Bench) -> None:
    bench.engine.answers["tags_model"] = KeyError("a word that was read")
    outcome = (await bench.pipeline.annotate(both(), call())).outcomes["tags"]
    assert isinstance(outcome.error, InternalError)
    assert "word" not in outcome.error.text


@pytest.mark.parametrize(
    ("request_", "error", "field_"),
    [
        (AnnotateRequest(IMAGE, {}), InvalidRequestError, "tags"),
        (AnnotateRequest(IMAGE, {"tags": TagsOptions(max_tags=-1)}), InvalidRequestError, "tags.max_tags"),
        (AnnotateRequest(IMAGE, {"tags": TagsOptions()}, ("en",) * 17), InvalidRequestError, "languages"),
        (AnnotateRequest(IMAGE, {"tags": TagsOptions()}, request_id="x" * 129), InvalidRequestError, "request_id"),
        (AnnotateRequest(b"x" * 101, {"tags": TagsOptions()}), ImageTooLargeError, "image"),
    ],
)
async def test_refused_before_any_work(
    bench: Bench, request_: AnnotateRequest, error: type[ImagierError], field_: str
) -> None:
    with pytest.raises(error) as refused:
        await bench.pipeline.annotate(request_, call())
    assert refused.value.field == field_
    assert bench.decoder.calls == 0
    for task in request_.tasks:
        assert bench.value("imagier_task_failures_total", task=task, reason=error.reason) == 1


async def test_without_room_nothing_is_decoded(bench: Bench) -> None:
    places = [bench.limits.enter(1) for _ in range(4)]
    with pytest.raises(OverloadedError):
        await bench.pipeline.annotate(both(), call())
    assert bench.decoder.calls == 0
    places[0].leave()
    await bench.pipeline.annotate(both(), call())


async def test_without_room_a_call_is_refused_and_counted_before_its_picture_is_read(bench: Bench) -> None:
    bench.pipeline.knock(call())
    places = [bench.limits.enter(1) for _ in range(4)]
    with pytest.raises(OverloadedError):
        bench.pipeline.knock(call())
    assert bench.value("imagier_requests_total", transport="grpc", lane="interactive", code="exhausted") == 1
    assert bench.value("imagier_refused_calls_total", reason="PICTURES_FULL") == 1
    bench.pipeline.knock(replace(call(), idempotency_key="a retry"))  # its first try may be one of the four
    places[0].leave()
    bench.pipeline.knock(call())
    assert bench.value("imagier_requests_total", transport="grpc", lane="interactive", code="exhausted") == 1


async def test_a_deadline_already_past_starts_nothing(bench: Bench) -> None:
    with pytest.raises(DeadlineError):
        await bench.pipeline.annotate(both(), call(seconds=-0.1))
    assert bench.decoder.calls == 0


async def test_a_deadline_that_passes_stops_everything_and_gives_the_room_back(bench: Bench) -> None:
    stopped = asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    bench.engine.answers["tags_model"] = forever
    with pytest.raises(DeadlineError):
        await bench.pipeline.annotate(AnnotateRequest(IMAGE, {"tags": TagsOptions()}), call(seconds=0.05))
    assert stopped.is_set()
    assert bench.value("imagier_in_flight_pictures") == 0


async def test_what_was_read_before_the_deadline_stands(bench: Bench) -> None:
    bench.engine.answers["tags_model"] = asyncio.Event().wait
    annotation = await bench.pipeline.annotate(both(), call(seconds=0.5))
    assert annotation.outcomes["ocr"].result == Text(())
    assert isinstance(annotation.outcomes["tags"].error, DeadlineError)
    assert [model.name for model in annotation.outcomes["tags"].models] == ["tags_model"]
    assert annotation.cost == 2
    assert bench.value("imagier_tasks_total", task="tags", code="deadline") == 1


async def test_a_deadline_that_passes_before_the_decoder_is_done_fails_the_picture(bench: Bench) -> None:
    bench.decoder.hold = asyncio.Event()
    with pytest.raises(DeadlineError):
        await bench.pipeline.annotate(both(), call(seconds=0.05))


async def test_a_call_that_is_ended_at_its_deadline_was_not_given_up_by_its_caller(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.decoder.hold = asyncio.Event()
    running = asyncio.create_task(bench.pipeline.annotate(both(), call(seconds=9.0)))
    await asyncio.wait([running], timeout=0.01)
    monkeypatch.setattr(CallContext, "seconds_left", -0.01)
    running.cancel()  # as gRPC does
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bench.value("imagier_requests_total", transport="grpc", lane="interactive", code="deadline") == 1
    assert bench.value("imagier_requests_total", transport="grpc", lane="interactive", code="cancelled") == 0


async def test_what_is_left_of_the_deadline_goes_to_the_engine(bench: Bench) -> None:
    await bench.pipeline.annotate(both(), call(seconds=5.0))
    assert all(4 < seconds <= 5 for _, _, seconds in bench.engine.calls)
    await bench.pipeline.annotate(both(), call())
    assert all(29 < seconds <= 30 for _, _, seconds in bench.engine.calls[2:])


async def test_a_caller_that_goes_away_stops_everything(bench: Bench) -> None:
    bench.decoder.hold = asyncio.Event()
    running = asyncio.create_task(bench.pipeline.annotate(both(), call()))
    await asyncio.wait([running], timeout=0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not bench.engine.calls
    assert bench.value("imagier_in_flight_pictures") == 0
    assert bench.value("imagier_requests_total", transport="grpc", lane="interactive", code="cancelled") == 1


async def test_whoever_sees_nothing_in_flight_sees_everything_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = bench.pipeline.metrics
    in_flight: list[float] = []
    monkeypatch.setattr(metrics, "count_task", lambda *_: in_flight.append(bench.value("imagier_in_flight_pictures")))
    await bench.pipeline.annotate(both(), call())
    bench.engine.answers["tags_model"] = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await bench.pipeline.annotate(both(), call())
    assert in_flight == [1, 1, 1, 1]
    assert bench.value("imagier_in_flight_pictures") == 0


async def test_two_requests_with_other_options_keep_their_own(bench: Bench) -> None:
    only_tags = AnnotateRequest(IMAGE, {"tags": TagsOptions()})
    only_ocr = AnnotateRequest(IMAGE, {"ocr": OcrOptions()})
    first, second = await asyncio.gather(
        bench.pipeline.annotate(only_tags, call()), bench.pipeline.annotate(only_ocr, call())
    )
    assert (first.outcomes.keys(), second.outcomes.keys()) == ({"tags"}, {"ocr"})
    assert sorted(bench.decoder.scales) == [0.25, 0.5]
