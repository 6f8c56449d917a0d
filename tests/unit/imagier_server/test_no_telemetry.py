# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime and OpenVINO start their telemetry when they are imported: each of our ways to them has said no by then.

A home folder tells: with telemetry on, a device or client id lies there at once. tests/system/test_no_call_home.py watches whole
runs, and their network.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from imagier_server import no_telemetry
from imagier_server.embedded import process

FOLDER = str(process.BACKEND)
ON = {"ORT_DISABLE_TELEMETRY": "0", "HF_HUB_DISABLE_TELEMETRY": "0", "DISABLE_SAFETENSORS_CONVERSION": "0"}

WAYS = {
    "the exporter": "import imagier_server.export.onnx_runtime",
    "the exporter's libraries": "import imagier_server.export; import onnxruntime",
    # Triton's stub brings this module; only the annotations need it here.
    "a model instance": f"""
import sys, types
fake = types.ModuleType("triton_python_backend_utils")
sys.modules[fake.__name__] = fake
sys.path.append({FOLDER!r})
import sessions
""",
    "an OpenVINO session": f"import sys; sys.path.append({FOLDER!r}); import openvino_session; import openvino",
    "the server's libraries": "import imagier_server, openvino; from openvino.tools.ovc import convert_model",
}


def home_after(code: str, home: Path, environment: dict[str, str]) -> list[str]:
    """What lies in a fresh home folder after a Python process that ran `code`."""
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        env={"HOME": str(home), "PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return sorted(path.name for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize("way", WAYS)
def test_importing_an_engine_leaves_nothing_behind(way: str, tmp_path: Path) -> None:
    assert home_after(WAYS[way], tmp_path / "home", ON) == []


def test_without_us_openvino_leaves_an_id(tmp_path: Path) -> None:
    # Its switch for builds would hide that.
    assert "openvino_ga_cid" in home_after("import openvino", tmp_path / "home", {})


def test_our_processes_hand_it_on() -> None:
    code = f"import imagier_server, os; print(*(os.environ[name] for name in {list(ON)}))"
    done = subprocess.run([sys.executable, "-c", code], env=ON, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"] * len(ON)
    assert no_telemetry.VARIABLES.keys() == ON.keys()
