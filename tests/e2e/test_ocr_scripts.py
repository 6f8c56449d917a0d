# SPDX-License-Identifier: Apache-2.0
"""Recognisers of further scripts before the real Triton: installed by the command, each reads its lines and no others."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from imagier.v1 import annotator_pb2, catalog_pb2, ocr_pb2
from imagier_client.drawing.fonts import font_for
from imagier_server import embedded, export
from imagier_server.export.catalogue import BY_NAME
from PIL import Image, ImageDraw
from support import made_recognizer
from support.real_server import cold, encoded
from support.running_gateway import Gateway, gateway
from support.tiny_models import statistics
from tritonclient.grpc import aio as triton

ENGLISH, GREEK, RUSSIAN = "Fresh bread every morning", "Ψωμί γλυκό", "Закрывайте калитку"
WORDS = {"text_recognizer_greek": GREEK, "text_recognizer_cyrillic": RUSSIAN}
PATIENCE = 600


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """The repository, and beside its recogniser two made ones, in the places of those that RapidOCR publishes."""
    folder, made = cold(tmp_path_factory.mktemp("models")), tmp_path_factory.mktemp("made")
    for role, words in WORDS.items():
        weights = made_recognizer.save(made / f"{role}.onnx", words, [ENGLISH, *({*WORDS.values()} - {words})])
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        row = replace(BY_NAME[role], source=replace(BY_NAME[role].source, sha256=digest))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(export, "BY_NAME", MappingProxyType({role: row}))
            assert export.install_models(folder, [f"{role}={weights}"]) == {role: export.State.MISSING}
    return folder


@pytest.fixture
async def served(models: Path, unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[tuple[Gateway, int]]:
    port = unused_tcp_port_factory()
    async with (
        embedded.start(models, grpc_port=("127.0.0.1", port)),
        gateway(models, port, unused_tcp_port_factory(), deadline_seconds=PATIENCE) as running,
    ):
        async with asyncio.timeout(PATIENCE):
            while not (await catalogued(running)).ready:
                await running.ready()
        yield running, port


async def catalogued(running: Gateway) -> catalog_pb2.TaskInfo:
    catalog = await running.stub.GetCatalog(catalog_pb2.GetCatalogRequest())
    return next(task for task in catalog.tasks if task.name == "ocr")


def page(*lines: str) -> bytes:
    picture = Image.new("RGB", (700, 400), "white")
    for row, line in enumerate(lines):
        font = font_for(line, made_recognizer.SIZE)
        assert font is not None
        ImageDraw.Draw(picture).text((40, 40 + 120 * row), line, "black", font)
    return encoded(picture)


async def read(running: Gateway, *lines: str) -> ocr_pb2.OcrResult:
    request = annotator_pb2.AnnotateRequest(image=page(*lines), ocr=ocr_pb2.OcrOptions())
    answer = (await running.stub.Annotate(request)).ocr
    assert answer.status.code == 0
    return answer


async def test_each_line_is_read_by_the_recogniser_that_is_sure_of_it(served: tuple[Gateway, int]) -> None:
    running, port = served
    known = await catalogued(running)
    assert {"Latn", "Grek", "Cyrl"} <= set(known.scripts)
    assert {"en", "el", "ru"} <= set(known.languages)
    async with triton.InferenceServerClient(f"127.0.0.1:{port}") as engine:
        before = {role: (await statistics(engine, role))[0] for role in WORDS}
        alone = await read(running, ENGLISH)
        after = {role: (await statistics(engine, role))[0] for role in WORDS}
    assert [line.text for line in alone.lines] == [ENGLISH]
    assert after == before, "what the default recogniser is sure of costs the others nothing"
    mixed = await read(running, GREEK, ENGLISH, RUSSIAN)
    assert [line.text for line in mixed.lines] == [GREEK, ENGLISH, RUSSIAN]
    assert mixed.text == f"{GREEK}\n{ENGLISH}\n{RUSSIAN}"
    assert mixed.lines[1].confidence == pytest.approx(alone.lines[0].confidence, abs=0.02)
    assert {"text_recognizer", *WORDS} <= {model.name for model in mixed.models}
