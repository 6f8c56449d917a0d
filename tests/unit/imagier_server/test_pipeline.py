# SPDX-License-Identifier: Apache-2.0
"""The pipeline before a scripted engine and a scripted decoder: who fails when, what is refused, what is given back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from imagier_server.admission.limits import Limits
from imagier_server.errors import (
    DeadlineError,
    DrainingError,
    ImageTooLargeError,
    ImagierError,
    InternalError,
    InvalidImageError,
    InvalidRequestError,
    ModelNotInstalledError,
    ModelUnavailableError,
    OverloadedError,
)
from imagier_server.messages import (
    AnnotateRequest,
    Annotation,
    CaptionOptions,
    Captions,
    KeywordMatch,
    KeywordMatches,
    Lane,
    ModelReference,
    Picture,
    Tags,
    TagsOptions,
    Tensors,
    Text,
    TextOptions,
)
from imagier_server.metrics import Metrics
from imagier_server.pipeline import Pipeline
from imagier_server.timings import Stage, Timings

IMAGE = b"a picture"
BROKEN = b"broken"


class ScriptedDecoder:
    """Every picture is 100 by 50, but the broken one. `hold` keeps decoding until it is set."""

    def __init__(self) -> None:
        self.scales: list[float] = []
        self.calls = 0
        self.hold: asyncio.Event | None = None

    async def decode(self, image: bytes, scale: Callable[[int, int], float], lane: Lane) -> Picture:
        del lane
        self.calls += 1
        if self.hold:
            await self.hold.wait()
        if image == BROKEN:
            raise InvalidImageError("the picture file is broken")
        self.scales.append(scale(100, 50))
        return Picture(np.zeros((50, 100, 3), np.uint8), 100, 50)


class ScriptedEngine:
    """Answers each model with what the test says: a value, an exception, or a coroutine to wait for."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.calls: list[tuple[str, Lane, float]] = []

    async def infer(self, model: str, inputs: Tensors, *, lane: Lane, seconds: float) -> Tensors:
        del inputs
        self.calls.append((model, lane, seconds))
        answer = self.answers.get(model)
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            await answer()
        return {"out": np.zeros(1)}


@dataclass(frozen=True)
class ScriptedTask:
    """One inference of the model of its own name."""

    name: str
    wanted_scale: float
    result: Tags | Text | Captions
    price: int = 1
    languages: tuple[str, ...] = ("en",)
    options: tuple[()] = ()

    @property
    def models(self) -> tuple[str, ...]:
        return (f"{self.name}_model",)

    def check(self, options: Any) -> None:
        if options == TagsOptions(max_tags=-1):
            raise InvalidRequestError("max_tags must be positive", field="tags.max_tags")

    def scale(self, width: int, height: int) -> float:
        assert (width, height) == (100, 50)
        return self.wanted_scale

    async def run(
        self, picture: Picture, options: Any, languages: tuple[str, ...], steps: Any
    ) -> Tags | Text | Captions:
        del options, languages
        inputs = await steps.compute(Stage.PREPARE, lambda: {"in": picture.pixels})
        await steps.infer(self.models[0], inputs)
        return await steps.compute(Stage.FINISH, lambda: self.result)


class ScriptedKeywords:
    """Every keyword means nothing; "bad" is refused."""

    def check(self, keywords: Sequence[str], field: str) -> None:
        if "bad" in keywords:
            raise InvalidRequestError("refused", field=field)

    def match(
        self, keywords: Sequence[str], languages: Sequence[str], keyword_languages: Sequence[str]
    ) -> KeywordMatches:
        return KeywordMatches(tuple(KeywordMatch(keyword, ()) for keyword in keywords), tuple(languages))


@dataclass
class Bench:
    """A pipeline and the parts behind it."""

    threads: ThreadPoolExecutor
    room: int = 4
    metrics: Metrics = field(default_factory=Metrics)
    decoder: ScriptedDecoder = field(default_factory=ScriptedDecoder)
    engine: ScriptedEngine = field(default_factory=ScriptedEngine)

    def __post_init__(self) -> None:
        self.limits = Limits(self.room, 1000, 100, self.metrics)
        tasks = (
            ScriptedTask("tags", 0.25, Tags(())),
            ScriptedTask("text", 0.5, Text(()), price=2),
            ScriptedTask("caption", 0.125, Captions(())),
        )
        self.pipeline = Pipeline(
            tasks={task.name: task for task in tasks},
            keywords=ScriptedKeywords(),
            models={task.models[0]: ModelReference(task.models[0], "1") for task in tasks},
            limits=self.limits,
            decoder=self.decoder,
            engine=self.engine,
            threads=self.threads,
            metrics=self.metrics,
            deadline_seconds=30.0,
            stream_in_flight=2,
        )

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ThreadPoolExecutor(2) as threads:
        yield Bench(threads)


def both(image: bytes = IMAGE, request_id: str = "") -> AnnotateRequest:
    return AnnotateRequest(image, {"tags": TagsOptions(), "text": TextOptions()}, request_id=request_id)


async def test_one_decode_serves_both_tasks_at_the_larger_scale(bench: Bench) -> None:
    annotation = await bench.pipeline.annotate(both(), Lane.INTERACTIVE)
    assert bench.decoder.scales == [0.5]
    assert annotation.outcomes["tags"].result == Tags(())
    assert annotation.outcomes["text"].result == Text(())
    assert annotation.cost == 3
    assert {task for task, _ in annotation.timings.stages} == {"", "tags", "text"}
    assert {lane for _, lane, _ in bench.engine.calls} == {Lane.INTERACTIVE}


async def test_three_tasks_cost_one_decode(bench: Bench) -> None:
    wanted = {"tags": TagsOptions(), "caption": CaptionOptions(), "text": TextOptions()}
    annotation = await bench.pipeline.annotate(AnnotateRequest(IMAGE, wanted), Lane.INTERACTIVE)
    assert bench.decoder.scales == [0.5]
    assert {name: outcome.error for name, outcome in annotation.outcomes.items()} == dict.fromkeys(wanted)
    assert annotation.cost == 4


async def test_a_task_whose_model_is_not_installed_fails_alone_and_for_good(bench: Bench) -> None:
    bench.pipeline = replace(bench.pipeline, models={"tags_model": ModelReference("tags_model", "1")})
    wanted = {"tags": TagsOptions(), "caption": CaptionOptions()}
    annotation = await bench.pipeline.annotate(AnnotateRequest(IMAGE, wanted), Lane.INTERACTIVE)
    error = annotation.outcomes["caption"].error
    assert isinstance(error, ModelNotInstalledError)
    assert error.retry_after is None
    assert {model for model, _, _ in bench.engine.calls} == {"tags_model"}
    assert annotation.cost == 1


async def test_a_failed_task_fails_alone_and_costs_nothing(bench: Bench) -> None:
    bench.engine.answers["text_model"] = ModelUnavailableError("the model text_model is not ready")
    annotation = await bench.pipeline.annotate(both(), Lane.INTERACTIVE)
    assert annotation.outcomes["tags"].error is None
    assert isinstance(annotation.outcomes["text"].error, ModelUnavailableError)
    assert annotation.cost == 1
    assert bench.value("imagier_tasks_total", task="text", code="unavailable") == 1
    assert bench.value("imagier_tasks_total", task="tags", code="ok") == 1
    assert bench.value("imagier_requests_total", lane="interactive", code="ok") == 1


async def test_a_bug_in_a_task_is_an_internal_error_without_its_text(bench: Bench) -> None:
    bench.engine.answers["tags_model"] = KeyError("a word that was read")
    outcome = (await bench.pipeline.annotate(both(), Lane.INTERACTIVE)).outcomes["tags"]
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
        await bench.pipeline.annotate(request_, Lane.INTERACTIVE)
    assert refused.value.field == field_
    assert bench.decoder.calls == 0
    for task in request_.tasks:
        assert bench.value("imagier_task_failures_total", task=task, reason=error.reason) == 1


async def test_without_room_nothing_is_decoded(bench: Bench) -> None:
    places = [bench.limits.enter(1) for _ in range(4)]
    with pytest.raises(OverloadedError):
        await bench.pipeline.annotate(both(), Lane.INTERACTIVE)
    assert bench.decoder.calls == 0
    places[0].leave()
    await bench.pipeline.annotate(both(), Lane.INTERACTIVE)


async def test_a_deadline_already_past_starts_nothing(bench: Bench) -> None:
    with pytest.raises(DeadlineError):
        await bench.pipeline.annotate(both(), Lane.INTERACTIVE, -0.1)
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
        await bench.pipeline.annotate(AnnotateRequest(IMAGE, {"tags": TagsOptions()}), Lane.INTERACTIVE, 0.05)
    assert stopped.is_set()
    assert bench.value("imagier_in_flight_pictures") == 0


async def test_what_was_read_before_the_deadline_stands(bench: Bench) -> None:
    bench.engine.answers["tags_model"] = asyncio.Event().wait
    annotation = await bench.pipeline.annotate(both(), Lane.INTERACTIVE, 0.5)
    assert annotation.outcomes["text"].result == Text(())
    assert isinstance(annotation.outcomes["tags"].error, DeadlineError)
    assert [model.name for model in annotation.outcomes["tags"].models] == ["tags_model"]
    assert annotation.cost == 2
    assert bench.value("imagier_tasks_total", task="tags", code="deadline") == 1


async def test_a_deadline_that_passes_before_the_decoder_is_done_fails_the_picture(bench: Bench) -> None:
    bench.decoder.hold = asyncio.Event()
    with pytest.raises(DeadlineError):
        await bench.pipeline.annotate(both(), Lane.INTERACTIVE, 0.05)


async def test_a_call_that_is_ended_at_its_deadline_was_not_given_up_by_its_caller(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.decoder.hold = asyncio.Event()
    running = asyncio.create_task(bench.pipeline.annotate(both(), Lane.INTERACTIVE, 9.0))
    await asyncio.wait([running], timeout=0.01)
    monkeypatch.setattr(Timings, "elapsed", 8.99)
    running.cancel()  # as gRPC does
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bench.value("imagier_requests_total", lane="interactive", code="deadline") == 1
    assert bench.value("imagier_requests_total", lane="interactive", code="cancelled") == 0


async def test_what_is_left_of_the_deadline_goes_to_the_engine(bench: Bench) -> None:
    await bench.pipeline.annotate(both(), Lane.INTERACTIVE, 5.0)
    assert all(4 < seconds <= 5 for _, _, seconds in bench.engine.calls)
    await bench.pipeline.annotate(both(), Lane.INTERACTIVE)
    assert all(29 < seconds <= 30 for _, _, seconds in bench.engine.calls[2:])


async def test_a_caller_that_goes_away_stops_everything(bench: Bench) -> None:
    bench.decoder.hold = asyncio.Event()
    running = asyncio.create_task(bench.pipeline.annotate(both(), Lane.INTERACTIVE))
    await asyncio.wait([running], timeout=0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not bench.engine.calls
    assert bench.value("imagier_in_flight_pictures") == 0
    assert bench.value("imagier_requests_total", lane="interactive", code="cancelled") == 1


async def test_whoever_sees_nothing_in_flight_sees_everything_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = bench.pipeline.metrics
    in_flight: list[float] = []
    monkeypatch.setattr(metrics, "count_task", lambda *_: in_flight.append(bench.value("imagier_in_flight_pictures")))
    await bench.pipeline.annotate(both(), Lane.INTERACTIVE)
    bench.engine.answers["tags_model"] = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await bench.pipeline.annotate(both(), Lane.INTERACTIVE)
    assert in_flight == [1, 1, 1, 1]
    assert bench.value("imagier_in_flight_pictures") == 0


Answers = dict[str, Annotation | ImagierError]


def collect(answers: Answers) -> Callable[[str, Annotation | ImagierError], Awaitable[None]]:
    async def answer(request_id: str, outcome: Annotation | ImagierError) -> None:
        assert request_id not in answers, "exactly one answer for each request"
        answers[request_id] = outcome

    return answer


async def stream(*requests: AnnotateRequest) -> AsyncIterator[AnnotateRequest]:
    for request in requests:
        yield request


async def test_every_tenth_picture_broken_the_others_answered(bench: Bench) -> None:
    requests = [both(BROKEN if number % 10 == 0 else IMAGE, str(number)) for number in range(100)]
    answers: Answers = {}
    await bench.pipeline.annotate_many(stream(*requests), collect(answers), lambda: None)
    assert len(answers) == 100
    assert {int(name) for name, outcome in answers.items() if isinstance(outcome, InvalidImageError)} == set(
        range(0, 100, 10)
    )
    assert {lane for _, lane, _ in bench.engine.calls} == {Lane.BULK}
    assert bench.value("imagier_in_flight_pictures") == 0


async def test_a_slow_reader_stops_the_reading(bench: Bench) -> None:
    taken: list[str] = []
    reader = asyncio.Semaphore(0)

    async def requests() -> AsyncIterator[AnnotateRequest]:
        for number in range(20):
            taken.append(str(number))
            yield both(request_id=str(number))

    async def answer(request_id: str, outcome: Annotation | ImagierError) -> None:
        del request_id, outcome
        await reader.acquire()

    running = asyncio.create_task(bench.pipeline.annotate_many(requests(), answer, lambda: None))
    await asyncio.wait([running], timeout=0.2)
    assert len(taken) == 2, "stream_in_flight"
    assert bench.value("imagier_in_flight_pictures") == 0, "a slow reader takes no room from others"
    reader.release()
    await asyncio.wait([running], timeout=0.2)
    assert len(taken) == 3
    for _ in range(20):
        reader.release()
    await running


async def test_a_stream_waits_for_room_instead_of_failing(bench: Bench) -> None:
    places = [bench.limits.enter(1) for _ in range(4)]
    answers: Answers = {}
    running = asyncio.create_task(
        bench.pipeline.annotate_many(stream(both(request_id="a")), collect(answers), lambda: None)
    )
    for place in places[:2]:  # one is not enough: it is left to callers who do not wait
        await asyncio.wait([running], timeout=0.02)
        assert not answers
        place.leave()
    await running
    assert isinstance(answers["a"], Annotation)


async def test_a_stream_that_is_cancelled_leaves_nothing(bench: Bench) -> None:
    bench.decoder.hold = asyncio.Event()
    nine = stream(*(both() for _ in range(9)))
    running = asyncio.create_task(bench.pipeline.annotate_many(nine, collect({}), lambda: None))
    await asyncio.wait([running], timeout=0.02)
    assert bench.value("imagier_in_flight_pictures") == 2
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bench.value("imagier_in_flight_pictures") == 0


async def test_draining_ends_a_stream_after_the_answers_to_what_was_taken(bench: Bench) -> None:
    bench.decoder.hold = asyncio.Event()
    answers: Answers = {}
    nine = stream(*(both(request_id=str(number)) for number in range(9)))
    running = asyncio.create_task(bench.pipeline.annotate_many(nine, collect(answers), lambda: None))
    await asyncio.wait([running], timeout=0.02)
    assert bench.value("imagier_in_flight_pictures") == 2
    bench.limits.drain()
    await asyncio.wait([running], timeout=0.02)
    assert not running.done()
    bench.decoder.hold.set()
    with pytest.raises(DrainingError) as ended:
        await running
    assert ended.value.retry_after
    assert answers.keys() == {"0", "1"}
    assert all(isinstance(outcome, Annotation) for outcome in answers.values())
    assert bench.value("imagier_in_flight_pictures") == 0


async def test_draining_ends_a_stream_that_waits_for_its_caller(bench: Bench) -> None:
    silent = asyncio.Event()

    async def requests() -> AsyncIterator[AnnotateRequest]:
        await silent.wait()
        yield both()

    running = asyncio.create_task(bench.pipeline.annotate_many(requests(), collect({}), lambda: None))
    await asyncio.wait([running], timeout=0.02)
    bench.limits.drain()
    with pytest.raises(DrainingError):
        await running


async def test_a_stream_that_comes_too_late_is_not_read(bench: Bench) -> None:
    bench.limits.drain()
    answers: Answers = {}
    with pytest.raises(DrainingError):
        await bench.pipeline.annotate_many(stream(both(request_id="a")), collect(answers), lambda: None)
    assert not answers


async def test_a_stream_whose_caller_has_sent_all_is_answered_to_its_end(bench: Bench) -> None:
    bench.decoder.hold = asyncio.Event()
    answers: Answers = {}
    one = stream(both(request_id="a"))
    running = asyncio.create_task(bench.pipeline.annotate_many(one, collect(answers), lambda: None))
    await asyncio.wait([running], timeout=0.02)
    bench.limits.drain()
    bench.decoder.hold.set()
    await running
    assert isinstance(answers["a"], Annotation)


async def test_two_requests_with_other_options_keep_their_own(bench: Bench) -> None:
    only_tags = AnnotateRequest(IMAGE, {"tags": TagsOptions()})
    only_text = AnnotateRequest(IMAGE, {"text": TextOptions()})
    first, second = await asyncio.gather(
        bench.pipeline.annotate(only_tags, Lane.INTERACTIVE), bench.pipeline.annotate(only_text, Lane.INTERACTIVE)
    )
    assert (first.outcomes.keys(), second.outcomes.keys()) == ({"tags"}, {"text"})
    assert sorted(bench.decoder.scales) == [0.25, 0.5]


async def test_keywords_are_matched_in_a_place_of_their_own(bench: Bench) -> None:
    matches = await bench.pipeline.match_keywords(("dog",), ("tlh",), ())
    assert matches == KeywordMatches((KeywordMatch("dog", ()),), ("tlh",))
    assert bench.value("imagier_in_flight_pictures") == 0


async def test_keywords_are_refused_at_the_door(bench: Bench) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        await bench.pipeline.match_keywords(("bad",), (), ())
    assert refused.value.field == "keywords"
    with pytest.raises(InvalidRequestError) as refused:
        await bench.pipeline.match_keywords(("dog",), ("en",) * 17, ())
    assert refused.value.field == "languages"
    with pytest.raises(InvalidRequestError) as refused:
        await bench.pipeline.match_keywords(("dog",), (), ("en",) * 17)
    assert refused.value.field == "keyword_languages"
    places = [bench.limits.enter(1) for _ in range(bench.room)]
    with pytest.raises(OverloadedError):
        await bench.pipeline.match_keywords(("dog",), (), ())
    for place in places:
        place.leave()
    bench.limits.drain()
    with pytest.raises(DrainingError):
        await bench.pipeline.match_keywords(("dog",), (), ())
