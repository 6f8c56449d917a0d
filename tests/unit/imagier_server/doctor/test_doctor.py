# SPDX-License-Identifier: Apache-2.0
"""`imagier doctor` from its arguments to its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from imagier_client.cli import main
from imagier_server import doctor
from imagier_server.doctor import machine
from imagier_server.doctor.finding import Finding, State, note, wrong

# An interpreter in which what the extra `server` brings cannot be imported.
CLIENT_ONLY = """
import sys
for name in ("pydantic_settings", "numpy", "cv2", "tritonclient", "prometheus_client", "grpc_health"):
    sys.modules[name] = None
from imagier_client.cli import main
sys.exit(main(["doctor"]))
"""


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in filter(lambda name: name.startswith("IMAGIER_"), tuple(os.environ)):
        monkeypatch.delenv(name)


def test_a_fault_has_an_exit_status_and_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--format", "json", "--port", "0", "--metrics-port", "0", "--model-repository", str(tmp_path)]
    assert main(["doctor", *arguments]) == doctor.SOMETHING_WRONG
    said = json.loads(capsys.readouterr().out)
    faults = [each for each in said["findings"] if each["state"] == "wrong"]
    assert said["wrong"] == len(faults) > 0
    assert any(each["name"] == "models" and "imagier models install" in each["advice"] for each in faults)
    assert all(each["advice"] for each in said["findings"] if each["state"] != "ok")


def test_with_the_client_alone_it_says_what_a_server_needs(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CLIENT_ONLY], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "pip install 'imagier[server,cpu]'" in ended.stdout
    assert ended.stdout.endswith("Nothing is wrong.\n")


def test_a_server_that_lacks_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "installed", lambda name: name not in {"tokenizers", "onnxruntime-gpu"})
    last = list(doctor.examine(["--port", "0"]))[-1]
    assert (last.state, last.found) == (State.WRONG, "without tokenizers")
    assert "pip install 'imagier[server,cpu]'" in last.advice


def test_a_wrong_setting_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGIER_PORT", "70000")
    last = list(doctor.examine([]))[-1]
    assert (last.name, last.state) == ("settings", State.WRONG)
    assert last.advice.startswith("--port: ")


def test_a_setting_that_nobody_knows_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--prot", "1", "--format", "json"]) == 2
    said = "imagier doctor: unrecognized arguments: --prot 1 (see `imagier doctor --help`)\n"
    assert capsys.readouterr() == ("", said)


def test_a_screen() -> None:
    table = doctor.as_table([Finding("cores", "2"), note("GPU", "none", "Get one."), wrong("port", "taken", "End it.")])
    assert table.splitlines()[2:] == [
        "ok     cores  2",
        "note   GPU    none",
        "              Get one.",
        "wrong  port   taken",
        "              End it.",
        "",
        "One thing is wrong.",
    ]


def test_an_extra_names_its_packages() -> None:
    assert {"numpy", "tritonclient", "pydantic-settings"} <= set(doctor.required_by("server"))
    assert doctor.required_by("cpu") == ["onnxruntime"]
