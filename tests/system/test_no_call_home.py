# SPDX-License-Identifier: Apache-2.0
"""A whole run asks for no name, sends nothing beyond loopback, and writes no file but those that docs/privacy.md lists.

From the packages to the models, a server with its Triton, pictures annotated, and the end: where nobody can be reached, with a
fresh home folder (sealed.py).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import samples
from support import sealed
from support.real_server import REPOSITORY, ROOT

WHOLE_RUN = """
"$1" -m imagier_client.cli models install --accept research-only
"$1" -m imagier_client.cli annotate --tasks tags,caption,ocr --format jsonl pictures > answers.jsonl
"""

CONTROL = """
"$1" -c 'if True:
    import socket, time
    open("home/left", "w").close()
    for host in ("canary.example", "192.0.2.7", "2001:db8:1::7"):
        try:
            socket.create_connection((host, 443), timeout=0.1)
        except OSError:
            pass
'
"""


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a model repository as git has it, and pictures."""
    place = tmp_path / "place"
    listed = subprocess.run(["git", "ls-files", "-z", REPOSITORY.name], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0")[:-1]:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, place / name)
    # One model on OpenVINO, the others on ONNX Runtime.
    with (place / REPOSITORY.name / "tagger" / "config.pbtxt").open("a", encoding="utf-8") as config:
        config.write('optimization { execution_accelerators { cpu_execution_accelerator [ { name: "openvino" } ] } }\n')
    (place / "pictures").mkdir()
    for picture in (samples.street_sign, samples.receipt):
        picture().save(place / "pictures" / f"{picture.__name__}.png")
    return place


def test_the_place_sees_who_calls(place: Path) -> None:
    before = files(place)
    seen = sealed.run(place, CONTROL, [sys.executable])
    assert seen == sealed.Seen(names={"canary.example"}, addresses={"192.0.2.7", "2001:db8:1::7"})
    assert files(place) - before == {"home/left"}


def test_a_whole_run_calls_nobody_and_leaves_what_is_listed(place: Path) -> None:
    before = files(place)
    seen = sealed.run(place, WHOLE_RUN, [sys.executable], ORT_DISABLE_TELEMETRY="0")
    assert seen == sealed.Seen(names=set(), addresses=set())
    assert (place / "answers.jsonl").read_text("utf-8").count("\n") == len(list((place / "pictures").iterdir()))
    installed = {name for name in files(place) - before if name.startswith("model_repository/")}
    assert {"model_repository/models.lock", "model_repository/tagger/1/model.onnx"} <= installed
    assert files(place) - before - installed == {"answers.jsonl"}
