# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in earnest: killed gateways, killed Tritons, killed decoders, and shutting down while pictures are under way."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import psutil
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, ocr_pb2, tags_pb2
from imagier_client import Annotation, Client, Ocr, Tags, Waiting
from support.real_server import REPOSITORY, Server, called, cold, serve

Stub = annotator_pb2_grpc.AnnotatorServiceStub


def both(image: bytes) -> annotator_pb2.AnnotateRequest:
    return annotator_pb2.AnnotateRequest(image=image, tags=tags_pb2.TagsOptions(), ocr=ocr_pb2.OcrOptions())


def without_warm_up(folder: Path) -> tuple[str, str]:
    return ("--model-repository", str(cold(folder / "models")))


def named(server: Server, name: str) -> list[psutil.Process]:
    alive = [process for process in server.family if process.status() != psutil.STATUS_ZOMBIE]
    return [process for process in alive if name in " ".join(process.cmdline())]


def test_kill_9_of_the_gateway_takes_everything_with_it(tmp_path: Path, unused_tcp_port: int) -> None:
    with serve(tmp_path, unused_tcp_port, *without_warm_up(tmp_path)) as server:
        family = server.family
        assert called("tritonserver", family)
        server.process.kill()
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not alive


@pytest.mark.parametrize("how", ["SIGTERM", "end of input"])
def test_told_to_stop_while_the_models_load(tmp_path: Path, unused_tcp_port: int, how: str) -> None:
    command = [
        sys.executable,
        "-m",
        "imagier_client.cli",
        "serve",
        "--port",
        "0",
        "--metrics-port",
        str(unused_tcp_port),
    ]
    command += ["--model-repository", str(REPOSITORY), "--exit-with-parent"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log)
    gateway = psutil.Process(process.pid)
    while not called("tritonserver", gateway.children()):
        assert process.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
    family = [gateway, *gateway.children(recursive=True)]
    process.terminate() if how == "SIGTERM" else process.stdin.close()
    assert process.wait(40) == 0
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive


def test_a_killed_decoder_fails_one_picture_at_most_and_is_replaced(
    server: Server, stub: Stub, photographs: dict[str, bytes]
) -> None:
    for process in named(server, "imagier_server.decode.worker"):
        process.kill()
    outcomes = []
    for _ in range(6):
        try:
            outcomes.append(stub.Annotate(both(photographs["chelsea"])).cost)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            outcomes.append(0)
    assert outcomes[-2:] == [2, 2]
    assert len(named(server, "imagier_server.decode.worker")) >= 1


def test_a_killed_triton_is_a_retryable_error_and_a_run_waits_until_it_is_back(
    tmp_path: Path, unused_tcp_port: int, photographs: dict[str, bytes]
) -> None:
    stalls: list[Waiting] = []
    pictures = [(number, photographs[name]) for number, name in enumerate(["chelsea", "coffee", "astronaut"] * 3)]
    answers: dict[int, Annotation] = {}
    with (
        serve(tmp_path, unused_tcp_port, *without_warm_up(tmp_path)) as server,
        grpc.insecure_channel(server.address) as channel,
        Client(server.address, on_wait=stalls.append) as client,
    ):
        stub = Stub(channel)
        watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
        assert watching.next().status == health_pb2.HealthCheckResponse.SERVING
        for number, answer in client.annotate_many(pictures, Tags(), Ocr()):
            assert isinstance(answer, Annotation)
            answers[number] = answer
            if len(answers) == 2:
                for process in called("tritonserver", server.family):
                    process.kill()
                status = stub.Annotate(both(photographs["chelsea"])).tags.status
                assert status.code == grpc.StatusCode.UNAVAILABLE.value[0]
                assert any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)
        seen = [watching.next().status]
        while seen[-1] != health_pb2.HealthCheckResponse.SERVING:
            seen.append(watching.next().status)
        assert len(seen) > 1
        watching.cancel()
        assert stub.Annotate(both(photographs["chelsea"])).cost == 2
        assert '"reason": "SIGKILL"' in server.log.read_text("utf-8")
    # Nothing was lost, and what was asked again says the same as before.
    assert sorted(answers) == list(range(len(pictures)))
    assert [task for answer in answers.values() for task, result in answer.results.items() if not result.ok] == []
    assert {answer.cost for answer in answers.values()} == {2}
    assert len({str(answer.tags) for answer in answers.values()}) == 3
    assert {waiting.error.reason for waiting in stalls} <= {"ENGINE_UNAVAILABLE", "MODEL_UNAVAILABLE"}
    assert stalls, "it says that it waits"


def test_an_engine_that_the_machine_does_not_let_start_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "imagier_client.cli", "serve", "--port", "0", "--metrics-port", "0"]
    command += ["--model-repository", str(REPOSITORY), "--engine-log-dir", str(tmp_path / "file" / "logs")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert re.search(r"^imagier serve: .*Not a directory", ended.stderr, re.MULTILINE)


def test_shutting_down_answers_what_is_under_way(
    tmp_path: Path, unused_tcp_port: int, photographs: dict[str, bytes]
) -> None:
    with (
        serve(tmp_path, unused_tcp_port, *without_warm_up(tmp_path)) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        stub = Stub(channel)
        calls = [stub.Annotate.future(both(photographs["page"])) for _ in range(4)]
        with ThreadPoolExecutor(1) as waiting:
            assert waiting.submit(stub.Annotate, both(photographs["chelsea"])).result().cost == 2
        server.process.send_signal(signal.SIGTERM)
        for call in calls:
            assert call.exception() is None or call.code() is grpc.StatusCode.UNAVAILABLE
            if call.exception() is None:
                assert call.result().cost == 2
        assert any(call.exception() is None for call in calls)
        assert server.process.wait(60) == 0
