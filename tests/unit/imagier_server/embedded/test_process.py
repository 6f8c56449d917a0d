# SPDX-License-Identifier: Apache-2.0
"""The folder, the command line and the environment that Triton gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from imagier_server import no_telemetry, request_ids
from imagier_server.embedded import process
from imagier_server.embedded.scratch import Scratch
from imagier_server.embedded.wheel import EmbeddedError, Wheel

WHEEL = Wheel(
    server=Path("/wheel/bin/tritonserver"),
    libraries=Path("/wheel.libs"),
    python_backend=Path("/wheel/backends/python"),
    stub=Path("/wheel/stubs/3.11/triton_python_backend_stub"),
    libpython=Path("/python/lib/libpython3.11.so.1.0"),
)
PLACE = Scratch(Path("/dev/shm/imagier-triton-ab12"), lock=7)


@pytest.fixture
def repository(tmp_path):
    for name in ("tagger", "text_detector", "never_installed"):
        (tmp_path / "repository" / name / "1").mkdir(parents=True)
        (tmp_path / "repository" / name / "config.pbtxt").touch()
    for name in ("tagger", "text_detector"):
        (tmp_path / "repository" / name / "1" / "model.onnx").touch()
    (tmp_path / "repository" / "models.lock").touch()
    (tmp_path / "repository" / "notes").mkdir()
    return tmp_path / "repository"


def test_triton_listens_in_its_own_folder_and_serves_no_http_but_its_metrics():
    arguments = process.command(WHEEL, PLACE, process.private_socket(PLACE), 4002)
    assert arguments[0] == "/wheel/bin/tritonserver"
    assert {
        "--allow-http=false",
        "--grpc-address=unix:/dev/shm/imagier-triton-ab12/grpc",
        "--grpc-port=1",
        "--metrics-address=127.0.0.1",
        "--metrics-port=4002",
        "--model-control-mode=none",
        "--disable-auto-complete-config",
        "--strict-readiness=true",
        "--model-repository=/dev/shm/imagier-triton-ab12/models",
        "--backend-directory=/dev/shm/imagier-triton-ab12/backends",
        "--backend-config=python,shm-region-prefix-name=imagier-triton-ab12-",
        "--backend-config=python,stub-timeout-seconds=600",
    } <= set(arguments)


def test_the_command_line_which_all_can_read_holds_no_secret():
    first, second = (process.command(WHEEL, PLACE, process.private_socket(PLACE), 4002) for _ in range(2))
    assert first == second  # nothing random
    assert not [each for each in first if "restricted" in each]


def test_the_wheels_libraries_and_our_interpreter_come_first(monkeypatch):
    monkeypatch.setattr(process.sys, "executable", "/venv/bin/python")
    inherited = {"PATH": "/usr/bin", "LD_LIBRARY_PATH": "/cuda", "LANG": "C", "CUDA_VISIBLE_DEVICES": "0"}
    secrets = {"HF_TOKEN": "x", "NVIDIA_API_KEY": "x", "IMAGIER_TRACES": "x", "SSH_AUTH_SOCK": "x"}
    given = process.environment(inherited | secrets, WHEEL, PLACE)
    assert given == {
        "PATH": "/venv/bin:/usr/bin",
        "LD_LIBRARY_PATH": "/wheel.libs:/dev/shm/imagier-triton-ab12/lib:/cuda",
        "LANG": "C",
        "CUDA_VISIBLE_DEVICES": "0",
        **no_telemetry.VARIABLES,
    }
    assert process.environment({}, WHEEL, PLACE)["LD_LIBRARY_PATH"] == "/wheel.libs:/dev/shm/imagier-triton-ab12/lib"


def test_all_models_are_those_with_a_config(repository, tmp_path):
    assert process.compose(tmp_path / "place", WHEEL, repository, None) == ["tagger", "text_detector"]
    assert {path.name for path in (tmp_path / "place" / "models").iterdir()} == {"tagger", "text_detector"}
    assert (tmp_path / "place" / "lib" / "libpython3.11.so.1.0").is_symlink()
    assert (process.BACKEND / "model.py").is_file()
    assert {path.name for path in (tmp_path / "place" / "backends" / "onnxruntime").iterdir()} == {
        *(path.name for path in process.BACKEND.glob("*.py")),
        "triton_python_backend_stub",
        "triton_python_backend_utils.py",
    }


def test_only_the_models_named(repository, tmp_path):
    assert process.compose(tmp_path / "place", WHEEL, repository, ["tagger"]) == ["tagger"]
    assert [path.name for path in (tmp_path / "place" / "models").iterdir()] == ["tagger"]
    assert (tmp_path / "place" / "models" / "tagger" / "1").resolve() == repository / "tagger" / "1"


def test_a_config_of_ours_takes_the_place_of_the_models_own(repository, tmp_path):
    place = tmp_path / "place"
    process.compose(place, WHEEL, repository, None, {"tagger": "quick", "unknown": "none"})
    assert (place / "models" / "tagger" / "config.pbtxt").read_text("utf-8") == f"quick\n{request_ids.CONFIG}\n"
    assert (place / "models" / "tagger" / "1").resolve() == repository / "tagger" / "1"
    assert (place / "models" / "text_detector" / "config.pbtxt").read_text("utf-8") == f"\n{request_ids.CONFIG}\n"
    assert not (repository / "tagger" / "config.pbtxt").read_text("utf-8")
    assert not (place / "models" / "unknown").exists()


@pytest.mark.parametrize(("models", "text"), [(["captioner"], "No captioner in"), ([], "No model in")])
def test_a_missing_model_is_told_with_the_command_that_makes_it(repository, tmp_path, models, text):
    with pytest.raises(EmbeddedError, match=text) as caught:
        process.compose(tmp_path / "place", WHEEL, repository, models)
    assert "imagier models install" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "log", "again"),
    [
        (1, "E1121 04:41:35.7 1 main.cc:1] Failed to bind to 127.0.0.1:4002: Address already in use", True),
        (-6, "terminate called after throwing an instance of 'boost::interprocess::lock_exception'", True),
        (-9, "", True),
        (1, "", False),
        (1, "E1121 04:41:35.7 1 model_lifecycle.cc:642] \"failed to load 'tiny' version 1: Internal: text\"", False),
        (-6, "E1121 04:41:35.7 1 model_lifecycle.cc:642] \"failed to load 'tiny' version 1: Internal: text\"", False),
    ],
)
def test_a_start_is_tried_again_where_another_may_do_better(status, log, again):
    assert process._may_start_next_time(status, log) is again
