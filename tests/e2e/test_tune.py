# SPDX-License-Identifier: Apache-2.0
"""`imagier tune` on real models, roughly, and a server that runs them as it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, tags_pb2
from imagier_server.overlay import FP32, OPENVINO, Way, read_way, with_way
from support.real_server import PATIENCE_SECONDS, REPOSITORY, called, cold, serve

MODELS = ("tagger", "text_embedder")


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
