# SPDX-License-Identifier: Apache-2.0
"""A task that another distribution brings (tests/support/example_task) is served like one of ours, and no file of ours knows it."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import urllib.request
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import numpy as np
import pytest
import pytest_asyncio
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, catalog_pb2, tags_pb2
from imagier_server.model_lock import LOCK_NAME, read_lock, write_lock_text
from PIL import Image
from support import example_install
from support.fake_triton import locked, serving
from support.running_gateway import details, status_of
from support.scripted_models import scripted_triton, write_repository
from support.served_gateway import served

pytestmark = pytest.mark.asyncio(loop_scope="module")
MODEL = example_install.MODEL


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example_install.install(tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="module")
def messages(installed: Path) -> ModuleType:
    return example_install.messages(installed)


@dataclass(frozen=True)
class Example:
    """A gateway's process that has the example task."""

    address: str
    stub: annotator_pb2_grpc.AnnotatorServiceStub
    metrics_port: int

    def samples(self) -> dict[str, float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as answer:
            rows = (row.rsplit(" ", 1) for row in answer.read().decode().splitlines() if not row.startswith("#"))
            return {line: float(value) for line, value in rows}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def example(
    installed: Path, tmp_path_factory: pytest.TempPathFactory, unused_tcp_port_factory: Callable[[], int]
) -> AsyncIterator[Example]:
    repository = write_repository(tmp_path_factory.mktemp("repository"))
    models = {**read_lock(repository), MODEL: locked(MODEL)}
    (repository / LOCK_NAME).write_text(write_lock_text(models), "utf-8")
    fake = scripted_triton()
    fake.models, fake.loaded = models, set(models)
    fake.behaviours[MODEL] = example_install.photometer
    metrics_port = unused_tcp_port_factory()
    flags = ["--metrics-port", str(metrics_port)]
    environment = example_install.environment(installed)
    async with (
        serving(fake) as port,
        served(repository, port, repository / "gateway.log", flags, environment) as process,
        grpc.aio.insecure_channel(process.address) as channel,
    ):
        yield Example(process.address, annotator_pb2_grpc.AnnotatorServiceStub(channel), metrics_port)


def bright_in_the_middle() -> bytes:
    """Black, and white in the middle half of each side: a quarter of the picture."""
    pixels = np.zeros((400, 640, 3), np.uint8)
    pixels[100:300, 160:480] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def asked(options: Any, **more: Any) -> annotator_pb2.AnnotateRequest:
    request = annotator_pb2.AnnotateRequest(image=bright_in_the_middle(), **more)
    request.extensions.add().Pack(options)
    return request


def answered(messages: ModuleType, answer: annotator_pb2.AnnotateResponse) -> Any:
    (packed,) = answer.extensions
    result = messages.BrightnessResult()
    assert packed.Unpack(result)
    return result


async def test_it_is_served_beside_a_task_of_ours_and_shares_its_decode(example: Example, messages: ModuleType) -> None:
    answer = await example.stub.Annotate(asked(messages.BrightnessOptions(), tags=tags_pb2.TagsOptions()))
    result = answered(messages, answer)
    assert (result.status.code, result.cost, answer.tags.status.code, answer.cost) == (0, 1, 0, 2)
    assert [model.name for model in result.models] == [MODEL]
    assert result.mean == pytest.approx(0.25, abs=0.02)
    assert {stage.task for stage in answer.timings.stages} == {"", "tags", "brightness"}


async def test_its_option_is_read_and_checked(example: Example, messages: ModuleType) -> None:
    middle = await example.stub.Annotate(asked(messages.BrightnessOptions(center=0.4)))
    assert answered(messages, middle).mean == pytest.approx(1, abs=0.02)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await example.stub.Annotate(asked(messages.BrightnessOptions(center=2)))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details(status_of(raised.value))["BadRequest"].field_violations[0].field == "brightness.center"


async def test_the_catalogue_lists_it_with_its_option_and_its_model(example: Example) -> None:
    catalog = await example.stub.GetCatalog(catalog_pb2.GetCatalogRequest())
    (task,) = (task for task in catalog.tasks if task.name == "brightness")
    assert (task.ready, task.price, list(task.models)) == (True, 1, [MODEL])
    (option,) = task.options
    assert (option.name, option.default_value, option.minimum, option.maximum) == ("center", "1", pytest.approx(0.1), 1)
    assert MODEL in {model.name for model in catalog.models}


async def test_it_is_metered_from_zero_on(example: Example, messages: ModuleType) -> None:
    moved = (
        'imagier_tasks_total{code="ok",task="brightness"}',
        'imagier_task_duration_seconds_count{outcome="ok",task="brightness"}',
        'imagier_stage_duration_seconds_count{stage="infer",task="brightness"}',
        f'imagier_engine_requests_total{{code="ok",model="{MODEL}"}}',
    )
    before = example.samples()
    assert before['imagier_tasks_total{code="internal",task="brightness"}'] == 0
    await example.stub.Annotate(asked(messages.BrightnessOptions()))
    after = example.samples()
    assert [after[name] - before[name] for name in moved] == [1, 1, 1, 1]


async def ran(installed: Path, *command: str) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of a Python that finds the example task."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=example_install.environment(installed), stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


BLOCKING = """
import sys
from imagier_brightness.client import Brightness
from imagier_client import Client, Tags
with Client(sys.argv[1]) as client:
    answer = client.annotate(sys.argv[2], Brightness(center=0.4), Tags())
    result = answer[Brightness]
    print(result.ok, round(result.mean, 1), result.models[0].name, sorted(answer.results))
    print([round(answer[Brightness].mean, 2) for _, answer in client.annotate_many([(1, sys.argv[2])], Brightness())])
"""
ASYNCIO = """
import asyncio, sys
from imagier_brightness.client import Brightness
from imagier_client import AsyncClient, Tags
async def main():
    async with AsyncClient(sys.argv[1]) as client:
        answer = await client.annotate(sys.argv[2], Brightness(center=0.4), Tags())
        result = answer[Brightness]
        print(result.ok, round(result.mean, 1), result.models[0].name, sorted(answer.results))
        many = client.annotate_many([(1, sys.argv[2])], Brightness())
        print([round(answer[Brightness].mean, 2) async for _, answer in many])
asyncio.run(main())
"""


@pytest.mark.parametrize("program", [BLOCKING, ASYNCIO], ids=["blocking", "asyncio"])
async def test_each_client_asks_for_it_by_a_value(
    example: Example, installed: Path, tmp_path: Path, program: str
) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(bright_in_the_middle())
    code, out, err = await ran(installed, "-c", program, example.address, str(picture))
    assert (code, err) == (0, "")
    assert out.splitlines() == [f"True 1.0 {MODEL} ['brightness', 'tags']", "[0.25]"]


async def test_the_command_asks_for_it_and_prints_it(example: Example, installed: Path, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(bright_in_the_middle())
    command = ["-m", "imagier_client.cli", "annotate", "--server", example.address, "--tasks", "brightness"]
    code, out, err = await ran(installed, *command, str(tmp_path / "picture.png"))
    assert code == 0, err
    assert ["brightness", "0.25", "dark"] in [line.split() for line in out.splitlines()]
    command += ["--brightness-center", "0.4", "--format", "jsonl"]
    code, out, err = await ran(installed, *command, str(tmp_path / "picture.png"))
    assert code == 0, err
    (result,) = json.loads(out)["response"]["extensions"]
    assert (result["mean"], result["cost"]) == (pytest.approx(1, abs=0.01), 1)


@pytest.mark.asyncio(loop_scope="function")
async def test_a_server_without_it_says_where_its_tasks_are_listed(running: Any, messages: ModuleType) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await running.stub.Annotate(asked(messages.BrightnessOptions()))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details(status_of(raised.value))["BadRequest"].field_violations[0].field == "extensions"
    assert "catalogue" in raised.value.details()
