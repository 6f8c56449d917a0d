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
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, tags_pb2, text_pb2
from real_server import REPOSITORY, Server, called, cold, serve

Stub = annotator_pb2_grpc.AnnotatorServiceStub


def both(image: bytes) -> annotator_pb2.AnnotateRequest:
    return annotator_pb2.AnnotateRequest(image=image, tags=tags_pb2.TagsOptions(), text=text_pb2.TextOptions())


def without_warm_up(folder: Path) -> tuple[str, str]:
    return ("--model-repository", str(cold(folder / "models")))


def named(server: Server, name: str) -> list[psutil.Process]:
    alive = [process for process in server.family if process.status() != psutil.STATUS_ZOMBIE]
    return [process for process in alive if name in " ".join(process.cmdline())]


def until_ready(channel: grpc.Channel) -> None:
    watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""), timeout=120)
    seen = [watching.next().status]  # as it is now: perhaps not yet told that Triton has gone
    while seen[-1] != health_pb2.HealthCheckResponse.SERVING or not any(
        status != health_pb2.HealthCheckResponse.SERVING for status in seen
    ):
        seen.append(watching.next().status)
    watching.cancel()


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


def test_a_killed_triton_is_a_retryable_error_and_comes_back(
    tmp_path: Path, unused_tcp_port: int, photographs: dict[str, bytes]
) -> None:
    with (
        serve(tmp_path, unused_tcp_port, *without_warm_up(tmp_path)) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        stub = Stub(channel)
        assert stub.Annotate(both(photographs["chelsea"])).cost == 2
        for process in called("tritonserver", server.family):
            process.kill()
        status = stub.Annotate(both(photographs["chelsea"])).tags.status
        assert status.code == grpc.StatusCode.UNAVAILABLE.value[0]
        assert any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)
        until_ready(channel)
        assert stub.Annotate(both(photographs["chelsea"])).cost == 2


def test_an_engine_that_the_machine_does_not_let_start_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "imagier_client.cli", "serve", "--port", "0", "--metrics-port", "0"]
    command += ["--model-repository", str(REPOSITORY), "--engine-log-dir", str(tmp_path / "file" / "logs")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert re.search(r"^imagier serve: .*Not a directory", ended.stderr, re.MULTILINE)


def test_a_server_whose_engine_cannot_be_started_again_ends(tmp_path: Path, unused_tcp_port: int) -> None:
    with serve(tmp_path, unused_tcp_port, *without_warm_up(tmp_path)) as server:
        server.engine_logs.rename(tmp_path / "moved")
        server.engine_logs.touch()  # as a disk that is full or read-only
        for process in called("tritonserver", server.family):
            process.kill()
        assert server.process.wait(60) == 1
        assert "Not a directory" in server.log.read_text("utf-8") or "File exists" in server.log.read_text("utf-8")


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
