# SPDX-License-Identifier: Apache-2.0
"""The folder, the command line and the environment that Triton gets, and what is read out of its log."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
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


def test_triton_listens_on_loopback_only_and_serves_no_http():
    arguments = process.command(WHEEL, PLACE, 4001, 4002)
    assert arguments[0] == "/wheel/bin/tritonserver"
    assert {
        "--allow-http=false",
        "--grpc-address=127.0.0.1",
        "--grpc-port=4001",
        "--metrics-address=127.0.0.1",
        "--metrics-port=4002",
        "--model-control-mode=none",
        "--disable-auto-complete-config",
        "--strict-readiness=true",
        "--model-repository=/dev/shm/imagier-triton-ab12/models",
        "--backend-directory=/dev/shm/imagier-triton-ab12/backends",
        "--backend-config=python,shm-region-prefix-name=imagier-triton-ab12-",
    } <= set(arguments)


def test_what_could_change_or_watch_the_server_has_a_key_that_nobody_knows():
    first, second = (
        next(each for each in process.command(WHEEL, PLACE, 1, 2) if "restricted" in each) for _ in range(2)
    )
    assert first.startswith("--grpc-restricted-protocol=shared-memory,model-repository,trace,logging:nobody=")
    assert first != second


def test_the_wheels_libraries_and_our_interpreter_come_first(monkeypatch):
    monkeypatch.setattr(process.sys, "executable", "/venv/bin/python")
    given = process.environment({"PATH": "/usr/bin", "LD_LIBRARY_PATH": "/cuda", "LANG": "C"}, WHEEL, PLACE)
    assert given == {
        "PATH": "/venv/bin:/usr/bin",
        "LD_LIBRARY_PATH": "/wheel.libs:/dev/shm/imagier-triton-ab12/lib:/cuda",
        "LANG": "C",
    }
    assert process.environment({}, WHEEL, PLACE)["LD_LIBRARY_PATH"] == "/wheel.libs:/dev/shm/imagier-triton-ab12/lib"


def test_all_models_are_those_with_a_config(repository, tmp_path):
    assert process.compose(tmp_path / "place", WHEEL, repository, None) == ["tagger", "text_detector"]
    assert {path.name for path in (tmp_path / "place" / "models").iterdir()} == {"tagger", "text_detector"}
    assert (tmp_path / "place" / "lib" / "libpython3.11.so.1.0").is_symlink()
    assert {path.name for path in (tmp_path / "place" / "backends" / "onnxruntime").iterdir()} == {
        "model.py",
        "triton_python_backend_stub",
        "triton_python_backend_utils.py",
    }


def test_only_the_models_named(repository, tmp_path):
    assert process.compose(tmp_path / "place", WHEEL, repository, ["tagger"]) == ["tagger"]
    assert (tmp_path / "place" / "models" / "tagger").resolve() == repository / "tagger"


@pytest.mark.parametrize(("models", "text"), [(["captioner"], "No captioner in"), ([], "No model in")])
def test_a_missing_model_is_told_with_the_command_that_makes_it(repository, tmp_path, models, text):
    with pytest.raises(EmbeddedError, match=text) as caught:
        process.compose(tmp_path / "place", WHEEL, repository, models)
    assert "imagier models export" in str(caught.value)


def test_the_log_is_appended_to_and_only_its_owner_reads_it(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "triton.log").write_text("another run\n")
    with process.open_log(tmp_path / "logs") as log:
        log.file.write(b"this run\n")
        log.file.flush()
        assert log.text() == "this run\n"
    with process.open_log(tmp_path / "new") as log:
        assert stat.S_IMODE((tmp_path / "new" / "triton.log").stat().st_mode) == 0o600


def test_explain_names_the_models_that_failed():
    log = (
        'I1121 04:41:35.728615 13154 model_lifecycle.cc:472] "loading: tagger:1"\n'
        'E1121 04:41:35.726488 13154 server.cc:241] "CudaDriverHelper has not been initialized."\n'
        "E1121 04:41 1 a.cc:642] \"failed to load 'tagger' version 1: Internal: no such file\\n\\nAt:\\n  x\"\n"
        "error: creating server: Internal - failed to load all models"
    )
    assert process.explain(log) == "failed to load 'tagger' version 1: Internal: no such file"


def test_explain_falls_back_to_the_last_lines():
    assert process.explain("\n".join(map(str, range(20)))) == "\n".join(map(str, range(10, 20)))
    assert process.explain("") == "its log is empty"
