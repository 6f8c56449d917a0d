# SPDX-License-Identifier: Apache-2.0
"""What another user of the machine can reach of a running server: the two ports that it is told to open, and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.real_server import Server, called, cold, serve

STRANGER = Path(__file__).parents[1] / "support" / "stranger.py"
NOBODY = 65534
SECRET = "hf_somebody's"
# To become another user takes rights.
SUDO = () if os.geteuid() == 0 else ("sudo", "-n")


@contextmanager
def stranger(user: int) -> Iterator[subprocess.Popen[str]]:
    command = [*SUDO, sys.executable, str(STRANGER), str(user)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        yield running


def learnt(visitor: subprocess.Popen[str], server: Server) -> dict[str, Any]:
    told, _ = visitor.communicate(" ".join(str(process.pid) for process in server.family) + "\n", timeout=60)
    assert visitor.returncode == 0
    found: dict[str, Any] = json.loads(told)
    return found


def place(server: Server) -> Path:
    """The private folder of the server's Triton."""
    (triton,) = called("tritonserver", server.family)
    return next(Path(each.split("=")[1]).parent for each in triton.cmdline() if each.startswith("--model-repository="))


@pytest.fixture(scope="module")
def visited(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, dict[str, Any], dict[str, Any]]]:
    """A server, what nobody learnt of it from before its start on, and what our own user did."""
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as environment, stranger(NOBODY) as nobody, stranger(os.geteuid()) as ourselves:
        environment.setenv("HF_TOKEN", SECRET)
        with serve(folder, 0, "--model-repository", str(cold(folder / "models"))) as server:
            yield server, learnt(nobody, server), learnt(ourselves, server)


def test_nothing_in_shared_memory_is_open_at_any_moment(visited: tuple[Server, dict[str, Any], dict[str, Any]]) -> None:
    server, nobody, ourselves = visited
    name = place(server).name
    ours = {each for each in nobody["seen"] if each.startswith(name)}
    assert len(ours) > len(called("triton_python", server.family))  # a region for each, and the folder
    assert not ours & set(nobody["opened"])
    assert ours <= set(ourselves["opened"])


def test_triton_cannot_be_reached(visited: tuple[Server, dict[str, Any], dict[str, Any]]) -> None:
    server, nobody, ourselves = visited
    folder = place(server)
    ours = {path for path in ourselves["sockets"] if folder.name in path}
    # Triton's own, and one for each model, by which its second instance shares the session of the first.
    shared = {path for path in ours if path.endswith(".session")}
    assert len(shared) == len(called("triton_python", server.family)) / 2
    assert ours - shared == {str(folder / "grpc:1")}
    assert {path: nobody["sockets"][path] for path in ours} == dict.fromkeys(ours, False)
    assert {path: ourselves["sockets"][path] for path in ours} == dict.fromkeys(ours, True)
    (triton,) = called("tritonserver", server.family)
    listening = {each.laddr.port for each in triton.net_connections() if each.status == psutil.CONN_LISTEN}
    assert listening == {int(server.triton_metrics.rpartition(":")[2])}


def test_tritons_metrics_tell_of_models_and_the_machine_only(
    visited: tuple[Server, dict[str, Any], dict[str, Any]],
) -> None:
    server, *_ = visited
    with urllib.request.urlopen(f"http://{server.triton_metrics}/metrics") as answer:
        rows = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    assert {label for row in rows for label in re.findall(r'(\w+)="', row)} <= {"model", "version", "reason"}
    for path in ("/", "/v2", "/v2/models/tagger/infer", "/v2/repository/index", "/v2/logging", "/metrics/.."):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{server.triton_metrics}{path}", b"{}")
        assert refused.value.code >= 400
        refused.value.close()


def test_no_process_lets_its_memory_or_environment_be_read(
    visited: tuple[Server, dict[str, Any], dict[str, Any]],
) -> None:
    _, nobody, ourselves = visited
    assert len(nobody["got"]) >= 1 + 1 + 1 + 2  # gateway, a decoder, Triton, its guard, a model instance
    assert set(map(tuple, nobody["got"].values())) == {()}
    assert all("signal" in got for got in ourselves["got"].values())


def test_what_is_started_inherits_no_secret_of_the_environment(
    visited: tuple[Server, dict[str, Any], dict[str, Any]],
) -> None:
    server, *_ = visited
    gateway, *started = server.family
    assert gateway.environ()["HF_TOKEN"] == SECRET
    assert [process for process in started if SECRET in process.environ().values()] == []


def test_no_process_dumps_core_or_gains_privileges(visited: tuple[Server, dict[str, Any], dict[str, Any]]) -> None:
    server, *_ = visited
    for process in server.family:
        # One byte is none, even where core_pattern is a program: imagier_server/rights.py.
        assert process.rlimit(psutil.RLIMIT_CORE) == (1, 1)
        assert "NoNewPrivs:\t1\n" in Path(f"/proc/{process.pid}/status").read_text("ascii")


def test_no_command_line_holds_anything_random(visited: tuple[Server, dict[str, Any], dict[str, Any]]) -> None:
    server, nobody, _ = visited
    name = place(server).name
    words = " ".join(each for command in nobody["commands"].values() for each in command)
    # The folder's and the regions' names are random, and everybody's to see.
    words = re.sub(rf"{name}(-[0-9a-f-]{{36}})?", "", words)
    assert re.findall(r"\b[0-9a-fA-F]{16,}\b", words) == []
