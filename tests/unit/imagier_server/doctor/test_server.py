# SPDX-License-Identifier: Apache-2.0
"""What is called wrong before `imagier serve` runs into it: real ports, a real decoder, made repositories."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from imagier_server import endpoints
from imagier_server.decode.confinement import Confinement
from imagier_server.decode.process import DecoderProcess
from imagier_server.doctor import server
from imagier_server.doctor.finding import State
from imagier_server.embedded import wheel
from imagier_server.embedded.process import SHM_BYTES
from imagier_server.exposition import exposed
from imagier_server.metrics import Metrics
from imagier_server.settings import Settings

REPOSITORY = Path(__file__).parents[4] / "model_repository"


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_that_somebody_has(taken_port: int) -> None:
    settings = Settings(port=taken_port, metrics_port=0)
    grpc, metrics, http = server.ports(settings, running=server.answers(settings))
    assert (grpc.state, grpc.found) == (State.WRONG, f"{taken_port}, address already in use")
    assert "--port" in grpc.advice
    assert (metrics.state, http.state) == (State.OK, State.OK)


def test_a_port_that_our_own_server_has_is_no_fault() -> None:
    metrics = Metrics()
    metrics.build.info({"version": "1"})
    with endpoints.taken("127.0.0.1", 0) as sockets, exposed(metrics.registry, sockets):
        port = sockets[0].getsockname()[1]
        settings = Settings(port=0, metrics_port=port)
        found = list(server.ports(settings, running=server.answers(settings)))
    assert [each.state for each in found] == [State.OK] * 3
    assert found[1].found == f"{port}, a server of Imagier has it"


def test_a_free_port_stays_free(taken_port: int, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = Settings(port=port, host=f"unix:{tmp_path / 'socket'}", metrics_port=port, http=False)
    (metrics,) = server.ports(settings, running=False)
    assert metrics.found == f"{port}, free"
    with socket.create_server(("127.0.0.1", port)):
        assert list(tmp_path.iterdir()) == []


def test_models_that_are_missing(tmp_path: Path) -> None:
    found = {each.found.split(":")[0]: each for each in server.models(tmp_path) if each.state is State.WRONG}
    assert set(found) == {"missing"}
    assert "tagger" in found["missing"].found
    assert f"imagier models install --repository {tmp_path}" in found["missing"].advice
    (optional,) = (each for each in server.models(tmp_path) if each.state is State.NOTE)
    assert optional.found == "missing: captioner, text_embedder"


def test_no_repository_and_one_that_nobody_can_read(tmp_path: Path) -> None:
    (none,) = server.models(tmp_path / "none")
    assert (none.state, "--model-repository" in none.advice) == (State.WRONG, True)
    (tmp_path / "models.lock").write_text("{", encoding="ascii")
    (damaged,) = server.models(tmp_path)
    assert damaged.state is State.WRONG
    assert "damaged" in damaged.advice


def test_each_instance_of_an_installed_model_has_a_region(tmp_path: Path) -> None:
    for role in ("tagger", "text_detector"):
        (tmp_path / role / "1").mkdir(parents=True)
        shutil.copy(REPOSITORY / role / "config.pbtxt", tmp_path / role)
    assert server.regions(tmp_path) == 0, "nothing is installed"
    (tmp_path / "tagger" / "1" / "model.onnx").touch()
    assert server.regions(tmp_path) == 2 * SHM_BYTES


def test_tritons_elsewhere_are_counted_and_not_named(taken_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    assert server.engines(f"127.0.0.1:{taken_port}").state is State.OK
    some = server.engines(f"dns:///localhost:{taken_port},127.0.0.1:{closed}")
    assert (some.state, some.found) == (State.NOTE, "1 of the 2 in --engine can be connected to")
    none = server.engines(f"127.0.0.1:{closed}")
    assert none.state is State.WRONG
    assert "127" not in none.found + none.advice


def test_a_wheel_with_parts_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pytriton" / "tritonserver" / "bin").mkdir(parents=True)
    monkeypatch.setattr(wheel, "FILES", tmp_path)
    found = server.triton()
    assert (found.state, found.found) == (
        State.WRONG,
        "incomplete: without tritonserver, triton_python_backend_stub, python",
    )
    assert "imagier engine install" in found.advice


def test_a_libpython_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server.libpython().state is State.OK

    def find(name: str) -> Path:
        raise wheel.EmbeddedError(f"install {name}")

    monkeypatch.setattr(wheel, "find_libpython", find)
    found = server.libpython()
    assert found.state is State.WRONG
    assert found.advice.startswith("install libpython3.")


def test_a_real_decoder_is_started_and_closed_in() -> None:
    found = server.decoders(Settings(decoders=3))
    assert found.found.startswith("3, closed in by seccomp and ")


def test_a_decoder_that_cannot_be_closed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DecoderProcess, "confinement", lambda _: Confinement(0, True))
    found = server.decoders(Settings(decoders=1))
    assert (found.state, found.found) == (State.NOTE, "1, closed in by seccomp and no Landlock")


def test_a_decoder_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    found = server.decoders(Settings())
    assert (found.state, found.found) == (State.WRONG, "none starts")
