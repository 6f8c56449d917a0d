# SPDX-License-Identifier: Apache-2.0
"""What /metrics says of what is under way, of decoders and of engines: exactly these series have moved, and no others."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import psutil
from imagier.v1 import annotator_pb2
from imagier_server.model_lock import read_lock
from support.fake_triton import FakeTriton, never, refusing, serving
from support.running_gateway import Gateway, gateway, picture
from support.series import WITHOUT_TEXT, engine, lane, moved, only_tags, samples, task


async def test_what_is_in_flight_and_what_is_refused_meanwhile(
    repository: Path, fake: FakeTriton, unused_tcp_port: int
) -> None:
    fake.behaviours["tagger"] = never
    narrow = {"in_flight": 1, "decoders": 1}
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, **narrow) as running:
        await running.until(ready=True)
        image = picture()
        calls: list[grpc.aio.Call] = []
        free = {"imagier_in_flight_pictures": 0.0, "imagier_waiting_streams": 0.0}

        async def held_by_triton() -> None:
            calls.append(running.stub.Annotate(only_tags(image)))
            async with asyncio.timeout(10):
                while not fake.requests:
                    await running.ready()

        async def stream() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
            yield annotator_pb2.AnnotateStreamRequest(request=only_tags(image))

        assert {line: n for line, n in (await moved(running, held_by_triton)).items() if "in_flight" in line} == {
            "imagier_in_flight_pictures": 1,
            "imagier_in_flight_bytes": len(image),
            'imagier_in_flight_tasks{task="tags"}': 1,
            'imagier_engine_in_flight_requests{engine="ENGINE"}': 1,
        }
        # Before it is read, so that its tasks are not known.
        refused = lane("exhausted") | {'imagier_refused_calls_total{reason="PICTURES_FULL"}': 1}
        assert await moved(running, lambda: running.stub.Annotate(only_tags(image))) == refused

        async def not_read() -> None:
            calls.append(running.stub.AnnotateStream(stream()))
            async with asyncio.timeout(10):
                while not await running.metric("imagier_waiting_streams"):
                    pass

        assert await moved(running, not_read) == {"imagier_waiting_streams": 1}

        async def left() -> None:
            held, waiting = calls
            async with asyncio.timeout(10):
                waiting.cancel()  # first, or it would take the place that the other leaves
                while await running.metric("imagier_waiting_streams"):
                    pass
                held.cancel()
                while not (await running.samples()).items() >= free.items():
                    pass

        gone = await moved(running, left)
        assert (
            gone.items()
            >= (lane("cancelled") | task("tags", "cancelled", "client_error") | engine("cancelled")).items()
        )
        assert gone['imagier_cancelled_total{stage="infer"}'] == 1


async def test_bulk_inferences_are_held_back_while_interactive_calls_come(
    repository: Path, fake: FakeTriton, unused_tcp_port: int
) -> None:
    held_back = 'imagier_bulk_waiting_inferences{model="tagger"}'
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port) as running:
        await running.until(ready=True)
        await running.stub.Annotate(only_tags(picture()))
        fake.behaviours["tagger"] = never

        async def stream() -> AsyncIterator[annotator_pb2.AnnotateStreamRequest]:
            for _ in range(8):
                yield annotator_pb2.AnnotateStreamRequest(request=only_tags(picture()))

        call = running.stub.AnnotateStream(stream())
        async with asyncio.timeout(30):
            while await running.metric(held_back) < 5:  # of a model that runs one row, three at most are in Triton
                pass
        call.cancel()
        async with asyncio.timeout(30):
            while await running.metric(held_back):
                pass


async def test_what_runs_and_what_room_it_has(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> None:
    room = {"in_flight": 3, "in_flight_bytes": 5 << 20, "decoders": 2}
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, **room) as running:
        said = await samples(running)
    expected = {
        "imagier_in_flight_pictures_limit": 3,
        "imagier_in_flight_bytes_limit": 5 << 20,
        "imagier_decoders": 2,
        f'imagier_build_info{{python="{platform.python_version()}",version="{version("imagier")}"}}': 1,
    }
    for model in read_lock(repository).values():
        labels = f'digest="{model.source_digest[:12]}",model="{model.role}",version="{model.full_version}"'
        expected[f"imagier_model_info{{{labels}}}"] = 1
    assert said.items() >= expected.items()
    assert sum(line.startswith(("imagier_build_info", "imagier_model_info")) for line in said) == len(expected) - 3


async def test_a_decoder_that_is_held_up_and_then_killed(
    repository: Path, fake: FakeTriton, unused_tcp_port: int
) -> None:
    others = set(psutil.Process().children())
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port, decoders=1) as running:
        await running.until(ready=True)
        (decoder,) = set(psutil.Process().children()) - others
        image = picture()
        calls: list[grpc.aio.Call] = []

        async def held_up() -> None:
            decoder.suspend()
            calls.extend(running.stub.Annotate(only_tags(image)) for _ in range(3))
            async with asyncio.timeout(10):
                while await running.metric("imagier_decoder_waiting_pictures") < 2:
                    pass

        async def goes_on() -> None:
            decoder.resume()
            await asyncio.gather(*calls)

        async def replaced() -> None:
            decoder.kill()
            psutil.wait_procs([decoder])
            await running.stub.Annotate(only_tags(image))

        held = {
            "imagier_decoders_busy": 1,
            "imagier_decoder_waiting_pictures": 2,
            "imagier_in_flight_pictures": 3,
            "imagier_in_flight_bytes": 3 * len(image),
        }
        assert await moved(running, held_up) == held
        one = WITHOUT_TEXT | lane("ok") | engine("ok")
        three = {line: 3 * count for line, count in one.items()}
        assert await moved(running, goes_on) == three | {line: -count for line, count in held.items()}
        assert await moved(running, replaced) == one | {"imagier_decoder_restarts_total": 1}


async def test_a_second_attempt(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> None:
    other = FakeTriton(fake.models, set(fake.loaded), dict(fake.behaviours))

    async def leave(*call: Any) -> Any:
        fake.loaded.clear()
        return await refusing(grpc.StatusCode.UNAVAILABLE, "stopping")(*call)

    fake.behaviours["tagger"] = leave
    async with serving(fake) as first, serving(other) as second:
        both = f"127.0.0.1:{first},127.0.0.1:{second}"
        async with gateway(repository, 0, unused_tcp_port, engine=both) as running:
            async with asyncio.timeout(20):
                while await running.metric("imagier_engines_up") < 2:
                    pass

            async def each_in_turn() -> None:
                await running.stub.Annotate(only_tags(picture()))
                await running.stub.Annotate(only_tags(picture()))

            seen = await moved(running, each_in_turn)
            assert seen['imagier_engine_retries_total{outcome="sent"}'] == 1
            assert seen['imagier_engine_requests_total{code="ok",model="tagger"}'] == 2
            assert 'imagier_engine_retries_total{outcome="refused"}' not in seen


async def test_an_engine_that_stops(repository: Path, fake: FakeTriton, unused_tcp_port: int) -> None:
    states = [
        "imagier_engines",
        "imagier_engines_up",
        'imagier_engine_ready{engine="ENGINE"}',
        'imagier_model_ready{model="tagger"}',
    ]

    async def states_are(running: Gateway, expected: list[float]) -> None:
        async with asyncio.timeout(20):
            while [(await samples(running))[line] for line in states] != expected:
                pass

    async with serving(fake) as port:
        context = gateway(repository, port, unused_tcp_port)
        running = await context.__aenter__()
        await running.until(ready=True)
        await states_are(running, [1, 1, 1, 1])
        fake.loaded.discard("text_detector")
        await states_are(running, [1, 1, 0, 1])
    try:
        await states_are(running, [1, 0, 0, 0])
        seen = await moved(running, lambda: running.stub.Annotate(only_tags(picture())))
        assert seen['imagier_task_failures_total{reason="ENGINE_UNAVAILABLE",task="tags"}'] == 1
    finally:
        await context.__aexit__(None, None, None)
