# SPDX-License-Identifier: Apache-2.0
"""Model processes and Tritons that are killed or stopped under load: what callers are told meanwhile, and that all comes back."""

from __future__ import annotations

import io
import json
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
import samples as pictures
from google.rpc import code_pb2, error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, caption_pb2, ocr_pb2, tags_pb2
from support.real_server import Server, called, cold, samples, serve
from support.victims import MODELS, TRITON, processes

Stub = annotator_pb2_grpc.AnnotatorServiceStub
PATIENCE = 600.0  # seconds until something that must happen counts as not happening
DEADLINE = 300.0
TASK = {"tagger": "tags", "captioner": "caption"}  # and all others read text
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture(scope="module")
def restarted(free_port_for_module: int) -> Iterator[Server]:
    """One server for all these tests: its Triton is started again by each of them."""
    with tempfile.TemporaryDirectory() as folder:
        models = cold(Path(folder) / "models", sample=True)
        with serve(Path(folder), free_port_for_module, "--model-repository", str(models)) as server:
            yield server


@pytest.fixture(scope="module")
def free_port_for_module(unused_tcp_port_factory: Callable[[], int]) -> int:
    return unused_tcp_port_factory()


def restarts(server: Server) -> dict[str, float]:
    """How often Triton was started again, by reason."""
    found = samples(f"127.0.0.1:{server.metrics_port}").items()
    name = "imagier_engine_restarts_total"
    return {line.split('"')[1]: value for line, value in found if line.startswith(name) and value}


@cache
def sign() -> bytes:
    """A picture with text that is little work to read: one tile of the detector's smallest canvas, a few words."""
    file = io.BytesIO()
    pictures.street_sign().crop((82, 300, 818, 1036)).save(file, "JPEG")
    return file.getvalue()


def everything() -> annotator_pb2.AnnotateRequest:
    """Every task."""
    return annotator_pb2.AnnotateRequest(
        image=sign(), tags=tags_pb2.TagsOptions(), ocr=ocr_pb2.OcrOptions(), caption=caption_pb2.CaptionOptions()
    )


def asked(model: str) -> annotator_pb2.AnnotateRequest:
    """A request for the task that needs the model."""
    request = everything()
    for task in {"tags", "ocr", "caption"} - {TASK.get(model, "ocr")}:
        request.ClearField(task)
    return request


@contextmanager
def under_load(server: Server, request: annotator_pb2.AnnotateRequest) -> Iterator[list[Any]]:
    """Two polite callers for the time of the block. Afterwards the statuses of all tasks are in the list."""
    statuses: list[Any] = []
    over = threading.Event()

    def call(stub: Stub) -> None:
        while not over.is_set():
            reply = stub.Annotate(request, timeout=DEADLINE)
            ends = [getattr(reply, task).status for task in ("tags", "ocr", "caption") if reply.HasField(task)]
            statuses.extend(ends)
            if any(status.code for status in ends):
                over.wait(0.1)

    with grpc.insecure_channel(server.address) as channel:
        callers = [threading.Thread(target=call, args=(Stub(channel),)) for _ in range(2)]
        for caller in callers:
            caller.start()
        try:
            until(lambda: len(statuses) >= 2)
            yield statuses
        finally:
            over.set()
            for caller in callers:
                caller.join()


def until(condition: Callable[[], object]) -> None:
    """Looks again and again, until the condition holds."""
    never = threading.Event()
    for _ in range(int(PATIENCE / 0.05)):
        if condition():
            return
        never.wait(0.05)
    raise AssertionError("waited in vain")


def ready_again(server: Server, gone: list[psutil.Process], before: Mapping[str, float]) -> bool:
    """Whether those have been replaced and every task is answered."""
    if any(each.is_running() for each in gone) or restarts(server) == before:
        return False
    with grpc.insecure_channel(server.address) as channel, suppress(grpc.RpcError):
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE)
        if health.status == SERVING:
            reply = Stub(channel).Annotate(everything(), timeout=DEADLINE)
            return {reply.tags.status.code, reply.ocr.status.code, reply.caption.status.code} == {code_pb2.OK}
    return False


def check(statuses: list[Any]) -> None:
    """Only answers, and errors that say when to try again."""
    assert {status.code for status in statuses} <= {code_pb2.OK, code_pb2.UNAVAILABLE}
    failed = [status for status in statuses if status.code == code_pb2.UNAVAILABLE]
    assert failed
    for status in failed:
        assert any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)


def events(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log.read_text("utf-8").splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    ("model", "how", "both"),
    [
        ("tagger", signal.SIGKILL, False),
        *(
            pytest.param(*each, marks=pytest.mark.restarts)
            for each in (
                *((model, signal.SIGKILL, False) for model in MODELS if model != "tagger"),
                ("text_recognizer", signal.SIGSTOP, False),
                ("text_detector", signal.SIGSTOP, True),
            )
        ),
    ],
    ids={signal.SIGKILL: "killed", signal.SIGSTOP: "stopped", True: "both", False: "one"}.get,
)
def test_a_lost_model_process_is_replaced(restarted: Server, model: str, how: signal.Signals, both: bool) -> None:
    before = restarts(restarted)
    with under_load(restarted, asked(model)) as statuses:
        victims = processes(restarted, model)
        assert len(victims) == 2
        for victim in victims if both else victims[:1]:
            victim.send_signal(how)
        until(lambda: ready_again(restarted, victims, before))
        answered = len(statuses)
        until(lambda: len(statuses) > answered + 4)
    check(statuses)
    reason = "process_ended" if how is signal.SIGKILL else "process_stopped"
    assert restarts(restarted) == before | {reason: before.get(reason, 0) + 1}
    (*_, said) = (each for each in events(restarted) if each["event"] == "the embedded Triton is started again")
    assert (said["reason"], said["model"]) == (reason, model)
    assert len(processes(restarted, model)) == 2


@pytest.mark.restarts
def test_a_stopped_triton_is_replaced(restarted: Server) -> None:
    before = restarts(restarted)
    with under_load(restarted, everything()) as statuses:
        victims = processes(restarted, TRITON)
        assert len(victims) == 1
        victims[0].suspend()
        until(lambda: ready_again(restarted, victims, before))
    check(statuses)
    assert restarts(restarted) == before | {"stopped": before.get("stopped", 0) + 1}


@pytest.mark.restarts
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_model_process_that_is_lost_during_a_restart(restarted: Server, how: signal.Signals) -> None:
    before = restarts(restarted)
    first = processes(restarted, TRITON)
    first[0].kill()
    loading: list[psutil.Process] = []

    def found() -> bool:
        loading[:] = [] if first[0].is_running() else processes(restarted, "text_detector")
        return bool(loading)

    until(found)
    for process in loading:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(how)
    until(lambda: ready_again(restarted, loading, before))
    assert restarts(restarted).get("not_started", 0) > before.get("not_started", 0)
    assert restarted.process.poll() is None


@pytest.mark.restarts
def test_a_disk_that_is_full_for_a_while(restarted: Server, tmp_path: Path) -> None:
    before = restarts(restarted)
    with grpc.insecure_channel(restarted.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        restarted.engine_logs.rename(tmp_path / "moved")
        restarted.engine_logs.touch()  # as a disk that is full or read-only
        victims = called("tritonserver", restarted.family)
        for process in victims:
            process.kill()
        until(lambda: restarts(restarted).get("not_started", 0) > before.get("not_started", 0) + 1)
        assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        restarted.engine_logs.unlink()
        until(lambda: ready_again(restarted, victims, before))
    failed = [each for each in events(restarted) if each["event"] == "the embedded Triton did not start"]
    assert {"FileExistsError", "NotADirectoryError"} & {each["error"] for each in failed}


def test_an_idle_model_is_proved_by_its_own_sample(restarted: Server) -> None:
    name = 'imagier_model_probes_total{{model="{}",outcome="ok"}}'
    metrics = f"127.0.0.1:{restarted.metrics_port}"
    before = samples(metrics)
    until(lambda: all(samples(metrics)[name.format(model)] > before[name.format(model)] for model in MODELS))
