# SPDX-License-Identifier: Apache-2.0
"""A captioner from a hub that speaks the real one's HTTP, by the real command; a broken download leaves the old one in place."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from imagier_server.export.catalogue import ALTERNATIVES, CATALOGUE
from imagier_server.model_lock import read_lock, verify_files
from support import tiny_checkpoints
from support.hub import WEIGHTS, Hub, environment, serving

CONFIGS = Path(__file__).parents[4] / "model_repository"
NAME = ALTERNATIVES["blip-base"].source.name
COMMIT = ALTERNATIVES["blip-base"].source.revision


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoints.save(tiny_checkpoints.blip(2.5), tmp_path_factory.mktemp("blip"), 8)


@pytest.fixture
def hub(checkpoint: Path) -> Iterator[type[Hub]]:
    with serving(checkpoint, NAME, COMMIT) as running:
        yield running


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a captioner from a folder in place: the tests of a broken download come after that of a good one."""
    repository = tmp_path_factory.mktemp("repository")
    for role in CATALOGUE:
        (repository / role).mkdir()
        shutil.copy(CONFIGS / role / "config.pbtxt", repository / role)
    return repository


IMAGIER = (Path(sys.executable).with_name("imagier"), "models")

# hf-xet's way to fail, which needs the real hub's storage.
BROKEN_TRANSFER = """
import sys
import huggingface_hub
from imagier_client.cli import main

def fail(*_, **__):
    raise RuntimeError("Data processing error: CAS service error")

huggingface_hub.hf_hub_download = fail
sys.exit(main(["models", *sys.argv[1:]]))
"""


def install(
    hub: type[Hub], repository: Path, wanted: str = "captioner=blip-base", program: Sequence[str | Path] = IMAGIER
) -> subprocess.CompletedProcess[str]:
    command = [*program, "install", wanted, "--repository", repository]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | environment(hub))


def content(repository: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in repository.rglob("*") if path.is_file()}


def test_it_says_what_it_takes_then_config_graph_assets_and_record_agree(hub, repository, checkpoint):
    digest = hashlib.sha256((checkpoint / WEIGHTS).read_bytes()).hexdigest()
    answer = install(hub, repository)
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert lines[0] == f"captioner: blip-base, https://huggingface.co/{NAME}/tree/{COMMIT}"
    assert lines[1] == f"captioner: licence BSD-3-Clause, 0 MB, SHA-256 {digest}"
    assert "the tokens of transformers' generate on 4 photographs" in answer.stdout
    assert WEIGHTS in answer.stderr, "the bar"

    model = read_lock(repository)["captioner"]
    assert (model.full_version, model.source_digest) == (f"blip-base {COMMIT[:12]}", digest)
    assert verify_files(repository) == {"captioner": ()}
    config = (repository / "captioner/config.pbtxt").read_text("utf-8")
    assert f'key: "model_digest" value {{ string_value: "{digest}" }}' in config
    assert re.findall(r"dims: \[ (.*) \]", config) == ["8, 8, 3", "3, 30", "3", "8, 8, 3", "8, 8, 3"]
    about = json.loads((repository / "captioner/assets/captioner.json").read_bytes())
    assert (about["side"], about["end"], about["pad"], about["confidence"]) == (8, 3, 0, None)


@pytest.mark.parametrize(
    ("fault", "program", "text"),
    [
        ("truncated", IMAGIER, "cannot be had from the hub"),
        ("another", IMAGIER, "arrived with SHA-256"),
        ("login", IMAGIER, "cannot be had from the hub: JSONDecodeError"),
        ("moved", IMAGIER, f"the hub answers with commit {'0' * 40}, pinned is {COMMIT}"),
        (
            "",
            [sys.executable, "-c", BROKEN_TRANSFER],
            "cannot be had from the hub: RuntimeError: Data processing error",
        ),
    ],
    ids=["truncated", "another", "login", "moved", "transfer"],
)
def test_a_broken_download_leaves_the_old_model_in_place(hub, repository, fault, program, text):
    lock = repository / "models.lock"
    lock.write_text(
        lock.read_text("utf-8").replace('"recipe": 1', '"recipe": 0'), "utf-8"
    )  # older, so there is something to do
    before = content(repository)
    hub.fault = fault
    answer = install(hub, repository, program=program)
    assert (answer.returncode, text in answer.stderr) == (1, True), answer.stderr
    assert content(repository) == before


def test_a_model_that_the_hub_does_not_have_is_an_error(hub, repository):
    before = content(repository)
    answer = install(hub, repository, "captioner=blip-large")
    assert answer.returncode == 1
    assert "Salesforce/blip-image-captioning-large cannot be had from the hub" in answer.stderr
    assert content(repository) == before
