# SPDX-License-Identifier: Apache-2.0
"""What is said of a machine, and what is called wrong with it."""

from __future__ import annotations

import os
import re
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from imagier_server.doctor import machine
from imagier_server.doctor.finding import State

GIB = 1 << 30


def file(folder: Path, text: str) -> Path:
    path = folder / "file"
    path.write_text(text, encoding="ascii")
    return path


def test_the_flags_that_matter_are_named_by_their_names(tmp_path: Path) -> None:
    info = file(
        tmp_path, "model name\t: A processor\nflags\t\t: fpu avx2 avx512f avx512_vnni amx_int8\n\nmodel name : other\n"
    )
    found = machine.processor("x86_64", info)
    assert (found.state, found.found) == (State.OK, "A processor: AVX2, AVX-512, AVX-512 VNNI, AMX INT8")


def test_a_processor_without_avx2_is_slow(tmp_path: Path) -> None:
    found = machine.processor("x86_64", file(tmp_path, "model name : Old\nflags : fpu sse2\n"))
    assert found.state is State.NOTE
    assert "AVX2" in found.advice


def test_arm_has_flags_of_its_own(tmp_path: Path) -> None:
    found = machine.processor("aarch64", file(tmp_path, "Features\t: fp asimd asimddp i8mm\n"))
    assert (found.state, found.found) == (State.OK, "aarch64: NEON, dot product, I8MM")


@pytest.mark.parametrize(
    ("limit", "free", "triton", "state"),
    [
        ("max", 8 * GIB, True, State.OK),
        (f"{2 * GIB}", 8 * GIB, True, State.WRONG),
        (f"{2 * GIB}", 8 * GIB, False, State.OK),
        ("max", GIB, True, State.NOTE),
    ],
)
def test_memory_that_does_not_do(tmp_path: Path, limit: str, free: int, triton: bool, state: State) -> None:
    info = file(tmp_path, f"MemTotal: {8 * GIB >> 10} kB\nMemAvailable: {free >> 10} kB\n")
    (tmp_path / "limit").write_text(limit, encoding="ascii")
    found = machine.memory(2, triton=triton, memory_info=info, cgroup_memory=tmp_path / "limit")
    assert found.state is state
    assert bool(found.advice) == (state is not State.OK)


def test_the_memory_asked_for_is_what_the_page_on_the_server_says() -> None:
    page = (Path(__file__).parents[4] / "docs" / "server.md").read_text("utf-8")
    rows = re.findall(
        r"^\| (?:a |the )?(decoder|gateway|Triton)'s memory[^|]*\| ([\d.]+) ([MG])iB \|", page, re.MULTILINE
    )
    measured = {part: float(size) * {"M": 1 << 20, "G": GIB}[unit] for part, size, unit in rows}
    assert measured.keys() == {"decoder", "gateway", "Triton"}
    asked = {"decoder": machine.DECODER_BYTES, "gateway": machine.GATEWAY_BYTES, "Triton": machine.TRITON_BYTES}
    assert {part: size for part, size in asked.items() if not measured[part] <= size <= 1.1 * measured[part]} == {}


def test_memory_of_this_machine() -> None:
    assert "GiB" in machine.memory(1, triton=False).found


def test_shared_memory_must_hold_the_regions_of_all_models(tmp_path: Path) -> None:
    size = os.statvfs(tmp_path)
    total = size.f_frsize * size.f_blocks
    assert machine.shared_memory(1, running=False, place=tmp_path).state is State.OK
    small = machine.shared_memory(total + 1, running=True, place=tmp_path)
    assert small.state is State.WRONG
    assert "--shm-size" in small.advice
    # A disk is never empty: all of it is more than is free.
    assert machine.shared_memory(total, running=False, place=tmp_path).state is State.WRONG
    assert machine.shared_memory(total, running=True, place=tmp_path).state is State.OK
    assert machine.shared_memory(1, running=False, place=tmp_path / "none").state is State.WRONG


def test_a_full_disk_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.disk(tmp_path / "not" / "made").found.endswith("free where the models are")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=machine.DISK_BYTES - 1))
    assert machine.disk(tmp_path).state is State.NOTE


@pytest.fixture
def few_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("few_files")
def test_each_connection_is_an_open_file() -> None:
    assert machine.open_files(100).state is State.OK
    found = machine.open_files(1024)
    assert (found.state, found.found) == (State.NOTE, "at most 512")
    assert "ulimit -n 2048" in found.advice


def test_one_core_is_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 1)
    assert machine.cores().state is State.NOTE
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    assert machine.cores().state is State.OK


@pytest.mark.parametrize(
    ("listed", "runtimes", "state", "text"),
    [
        (None, {"onnxruntime"}, State.OK, "none; the models run on the processor"),
        (None, {"onnxruntime-gpu"}, State.NOTE, "none found"),
        ("A GPU, 8 MiB, 1.0", {"onnxruntime-gpu"}, State.OK, "A GPU, 8 MiB, 1.0; A GPU, 8 MiB, 1.0"),
        ("A GPU, 8 MiB, 1.0", {"onnxruntime"}, State.NOTE, "A GPU, 8 MiB, 1.0; A GPU, 8 MiB, 1.0"),
        (None, {"onnxruntime", "onnxruntime-gpu"}, State.WRONG, "none; onnxruntime beside onnxruntime-gpu"),
    ],
)
def test_a_gpu_and_the_runtime_that_can_use_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    listed: str | None,
    runtimes: set[str],
    state: State,
    text: str,
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(
        f"#!/bin/sh\necho '{listed}'; echo '{listed}'\n" if listed else "#!/bin/sh\nexit 9\n", encoding="ascii"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(machine, "installed", runtimes.__contains__)
    found = machine.gpu()
    assert (found.state, found.found) == (state, text)


def test_the_system_names_no_host() -> None:
    found = machine.system().found
    assert "Python 3." in found
    assert os.uname().nodename not in found
