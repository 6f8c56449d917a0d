# SPDX-License-Identifier: Apache-2.0
"""`imagier tune` on real models, roughly, and a server that runs them as it says."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, tags_pb2
from imagier_server import embedded
from imagier_server.golden import Asked
from imagier_server.messages import Tensors
from imagier_server.metrics import Metrics
from imagier_server.model_lock import read_lock
from imagier_server.overlay import FP32, OPENVINO, Way, golden, read_way, tuned, with_way
from imagier_server.triton import TritonEngine
from imagier_server.tuning.choice import Figures
from imagier_server.tuning.run import Result, write
from imagier_server.tuning.workload import record
from support.real_server import PATIENCE_SECONDS, REPOSITORY, called, cold, serve

MODELS = ("tagger", "text_embedder")
READERS = ("text_detector", "text_line_orienter", "text_recognizer")


def test_what_is_measured_is_written_and_served(tmp_path: Path, photographs: dict[str, bytes]) -> None:
    overlay = tmp_path / "overlay"
    command = [sys.executable, "-m", "imagier_client.cli", "tune", *MODELS, "--seconds", "0.1"]
    command += ["--repository", str(REPOSITORY), "--overlay", str(overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:3]] == list(MODELS)
    found = json.loads((overlay / "tune.json").read_text("utf-8"))["models"]
    assert found.keys() == set(MODELS)
    for result in found.values():
        tried = {(each["way"]["accelerator"], each["fault"]) for each in result["measured"]}
        assert {("onnxruntime", ""), ("openvino", "")} <= tried  # loaded, and answered as ONNX Runtime does

    # Whatever was faster here today: the tagger on OpenVINO, with other instances than installed.
    own = (REPOSITORY / "tagger" / "config.pbtxt").read_text("utf-8")
    assert read_way(own).instances != 3
    (overlay / "tagger").mkdir(exist_ok=True)
    (overlay / "tagger" / "config.pbtxt").write_text(with_way(own, Way(OPENVINO, FP32, 3, 1)), "utf-8")
    repository = cold(tmp_path / "cold", without=("captioner",), sample=True)
    with serve(tmp_path, 0, "--model-repository", str(repository), "--model-overlay", str(overlay)) as server:
        tagger = [each for each in called("triton_python", server.family) if "/tagger/" in " ".join(each.cmdline())]
        assert len(tagger) == 3
        assert any("libopenvino" in region.path for each in tagger for region in each.memory_maps())
        with grpc.insecure_channel(server.address) as channel:
            request = annotator_pb2.AnnotateRequest(image=photographs["chelsea"], tags=tags_pb2.TagsOptions())
            reply = annotator_pb2_grpc.AnnotatorServiceStub(channel).Annotate(request, timeout=PATIENCE_SECONDS)
        assert "cat" in {tag.names["en"] for tag in reply.tags.tags}


async def test_a_model_on_another_engine_is_ready_if_it_answers_as_it_was_installed(tmp_path: Path) -> None:
    others = [model for model in read_lock(REPOSITORY) if model not in READERS]
    repository, folder = cold(tmp_path / "cold", without=others, sample=True), tmp_path / "overlay"
    locked, results = read_lock(repository), {}
    async with embedded.start(repository, models=READERS) as triton:
        engine = TritonEngine(triton.grpc_address, {}, Metrics())
        for model, asked in (await record(repository, READERS, READERS, engine)).items():
            own = read_way((repository / model / "config.pbtxt").read_text("utf-8"))
            results[model] = Result(own, Figures(replace(own, accelerator=OPENVINO)), (), asked)
        await engine.close()
    write(folder, repository, results, 0.1)
    right = golden(repository, folder, READERS)
    assert right.keys() == set(READERS)
    wrong = {model: [Asked(each.inputs, plus_one(each.outputs)) for each in some] for model, some in right.items()}

    async with embedded.start(repository, models=READERS, configs=tuned(repository, folder, READERS)) as triton:
        for known, ready in ((right, True), (wrong, False)):
            engine = TritonEngine(triton.grpc_address, locked, Metrics(), golden=known)
            assert await engine.check() == dict.fromkeys(READERS, ready)
            await engine.close()


def plus_one(outputs: Tensors) -> Tensors:
    return {name: tensor + tensor.dtype.type(1) for name, tensor in outputs.items()}
