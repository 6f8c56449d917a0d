# SPDX-License-Identifier: Apache-2.0
"""Captions before the real Triton: of real photographs, taken back while they wait, and on a server that does without them."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import onnx
import pytest
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, caption_pb2, catalog_pb2, ocr_pb2, tags_pb2
from imagier_server import embedded
from imagier_server.embedded import EmbeddedTriton
from imagier_server.model_lock import LOCK_NAME, LockedModel, read_lock, write_lock_text
from onnx import TensorProto, helper
from support import made_captioner
from support.real_server import REPOSITORY, cold, serve
from support.running_gateway import Gateway, details, gateway, picture
from tritonclient.grpc import aio as triton

CONFIG = (REPOSITORY / "captioner" / "config.pbtxt").read_text("utf-8").split("model_warmup")[0]
IN_FLIGHT = 40
STEPS = 1_000_000  # of a loop that does nothing: about a second
PATIENCE = 120
SHOWN = {
    "astronaut": {"woman", "astronaut"},
    "chelsea": {"cat"},
    "coffee": {"coffee", "cup"},
    "rocket": {"rocket"},
    "hubble_deep_field": {"stars", "galaxies", "space"},
}
CAPTION = annotator_pb2.AnnotateRequest(image=picture("PNG", (64, 64)), caption=caption_pb2.CaptionOptions())


def test_a_photograph_in_a_sentence_out(
    stub: annotator_pb2_grpc.AnnotatorServiceStub, photographs: dict[str, bytes]
) -> None:
    answer = stub.Annotate(
        annotator_pb2.AnnotateRequest(
            image=photographs["chelsea"],
            languages=["fr", "en"],
            tags=tags_pb2.TagsOptions(),
            ocr=ocr_pb2.OcrOptions(),
            caption=caption_pb2.CaptionOptions(candidates=3, include_guesses=True),
        )
    )
    assert (answer.tags.status.code, answer.ocr.status.code, answer.caption.status.code) == (0, 0, 0)
    assert 1 <= len(answer.caption.captions) <= 3
    for caption in answer.caption.captions:
        assert re.fullmatch(r"[A-Z].*[a-z]\.", caption.text)
        assert 0 < caption.score < 1
        assert caption.language == "en"
    assert 0 < len(answer.caption.title.split()) <= 6
    assert len({caption.text for caption in answer.caption.captions}) == len(answer.caption.captions)


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_said_of_a_photograph_is_right_or_was_asked_for_as_a_guess(
    stub: annotator_pb2_grpc.AnnotatorServiceStub, photographs: dict[str, bytes], name: str
) -> None:
    wanted = caption_pb2.CaptionOptions(candidates=3)
    answer = stub.Annotate(annotator_pb2.AnnotateRequest(image=photographs[name], caption=wanted)).caption
    assert answer.captions or answer.guesses_left_out
    for caption in answer.captions:
        assert not caption.guess
        assert SHOWN[name] & set(re.findall(r"\w+", caption.text.casefold()))
    wanted.include_guesses = True
    guessed = stub.Annotate(annotator_pb2.AnnotateRequest(image=photographs[name], caption=wanted)).caption
    assert len(guessed.captions) == len(answer.captions) + answer.guesses_left_out


def slow_captioner(shape: tuple[int, int]) -> onnx.ModelProto:
    """`pixels` → captions of no word, after a while."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["carried"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, ()),
            helper.make_tensor_value_info("go", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("carried", TensorProto.INT64, (1,)),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("next", TensorProto.INT64, (1,)),
        ],
    )

    def constant(name: str, value: np.ndarray) -> onnx.NodeProto:
        return helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value))

    graph = helper.make_graph(
        [
            helper.make_node("Shape", ["pixels"], ["rows"], start=0, end=1),
            constant("steps", np.array(STEPS, np.int64)),
            constant("true", np.array(True)),
            helper.make_node("Loop", ["steps", "true", "rows"], ["same"], body=body),
            constant("tokens", np.array(shape, np.int64)),
            constant("candidates", np.array(shape[:1], np.int64)),
            helper.make_node("Concat", ["same", "tokens"], ["all_tokens"], axis=0),
            helper.make_node("Concat", ["same", "candidates"], ["all_candidates"], axis=0),
            helper.make_node(
                "ConstantOfShape",
                ["all_tokens"],
                ["token_ids"],
                value=helper.make_tensor("pad", TensorProto.INT32, (1,), [0]),
            ),
            helper.make_node("ConstantOfShape", ["all_candidates"], ["log_probabilities"]),
        ],
        "slow",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ("N", 224, 224, 3))],
        [
            helper.make_tensor_value_info("token_ids", TensorProto.INT32, ("N", *shape)),
            helper.make_tensor_value_info("log_probabilities", TensorProto.FLOAT, ("N", shape[0])),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(made)
    return made


@pytest.fixture
async def slow(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> AsyncIterator[tuple[Gateway, EmbeddedTriton]]:
    """The gateway before the real Triton, where the captioner's own config has a graph that takes its time."""
    digest = "5" * 64
    config = re.sub(r'(key: "model_digest" value \{ string_value: )"[^"]*"', rf'\1"{digest}"', CONFIG)
    (shape,) = re.findall(r'"token_ids" data_type: TYPE_INT32 dims: \[ (\d+), (\d+) \]', config)
    folder = tmp_path / "captioner"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(config, "utf-8")
    onnx.save(slow_captioner((int(shape[0]), int(shape[1]))), folder / "1" / "model.onnx")
    made_captioner.write_assets(folder / "assets")
    installed = read_lock(REPOSITORY)
    for role in ("tagger", "text_recognizer", "text_embedder"):
        (tmp_path / role).mkdir()
        (tmp_path / role / "assets").symlink_to(REPOSITORY / role / "assets")
    model = LockedModel("captioner", "slow", "1", "source", digest, 1, "MIT", False, ("en",), {}, {})
    recipe = re.search(r'key: "export_recipe" value \{ string_value: "(\d+)"', config)
    assert recipe
    installed["captioner"] = replace(model, recipe=int(recipe[1]))
    (tmp_path / LOCK_NAME).write_text(write_lock_text(installed), "utf-8")
    async with (
        embedded.start(tmp_path, grpc_port=("127.0.0.1", port := unused_tcp_port_factory())) as engine,
        gateway(tmp_path, port, unused_tcp_port_factory()) as running,
    ):
        async with asyncio.timeout(PATIENCE):
            while not (await catalogued(running)).ready:
                await running.ready()
        yield running, engine


async def catalogued(running: Gateway) -> catalog_pb2.TaskInfo:
    catalog = await running.stub.GetCatalog(catalog_pb2.GetCatalogRequest())
    return next(task for task in catalog.tasks if task.name == "caption")


async def waiting(engine: EmbeddedTriton) -> int:
    """Captions in Triton's queue."""

    def scrape() -> str:
        with urllib.request.urlopen(f"http://{engine.metrics_address}/metrics", timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    found = re.search(r"^nv_inference_pending_request_count\{.*} (\d+)$", await asyncio.to_thread(scrape), re.MULTILINE)
    return int(found[1]) if found else 0


async def test_captions_that_are_taken_back_in_the_queue_are_not_run(slow: tuple[Gateway, EmbeddedTriton]) -> None:
    running, engine = slow
    calls = [running.stub.Annotate(CAPTION) for _ in range(IN_FLIGHT)]
    codes = [asyncio.ensure_future(call.code()) for call in calls]
    async with asyncio.timeout(PATIENCE):
        while (queued := await waiting(engine)) < IN_FLIGHT / 2:
            await running.ready()
        for call in calls:
            call.cancel()
        assert set(await asyncio.gather(*codes)) <= {grpc.StatusCode.CANCELLED, grpc.StatusCode.OK}
        while await waiting(engine):
            await running.ready()
    # Behind all of them, if they had run.
    assert (await running.stub.Annotate(CAPTION)).caption.status.code == 0
    async with triton.InferenceServerClient(engine.grpc_address) as client:
        (found,) = (await client.get_inference_statistics("captioner")).model_stats
    # Since the queue was looked at, each instance may have begun another batch.
    assert 0 < found.inference_count <= IN_FLIGHT - queued + 2 * 8 + 1
    assert await running.metric("imagier_in_flight_pictures") == 0


def test_a_server_without_a_captioner_starts_and_does_the_rest(tmp_path: Path, unused_tcp_port: int) -> None:
    models = cold(tmp_path / "models", without=["captioner"])
    with (
        serve(tmp_path, unused_tcp_port, "--model-repository", str(models)) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)
        request = annotator_pb2.AnnotateRequest(tags=tags_pb2.TagsOptions())
        request.MergeFrom(CAPTION)
        answer = stub.Annotate(request)
        assert answer.tags.status.code == 0
        assert answer.caption.status.code == grpc.StatusCode.UNIMPLEMENTED.value[0]
        assert details(answer.caption.status)["ErrorInfo"].reason == "MODEL_NOT_INSTALLED"
        ready = {task.name: task.ready for task in stub.GetCatalog(catalog_pb2.GetCatalogRequest()).tasks}
        assert ready == {"tags": True, "ocr": True, "caption": False, "embedding": True, "fingerprint": True}
