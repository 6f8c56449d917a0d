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
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from imagier_server.export.catalogue import ALTERNATIVES, CATALOGUE
from imagier_server.model_lock import read_lock, verify_files
from support import tiny_checkpoints

CONFIGS = Path(__file__).parents[4] / "model_repository"
NAME = ALTERNATIVES["blip-base"].source.name
COMMIT = ALTERNATIVES["blip-base"].source.revision
WEIGHTS = "model.safetensors"


class Hub(BaseHTTPRequestHandler):
    """One model, its files those of `folder`; `fault` is what goes wrong with its weights."""

    folder: Path
    fault = ""

    def do_GET(self):
        if self.path.startswith(f"/api/models/{NAME}/revision/{COMMIT}"):
            siblings = [self.entry(path) for path in sorted(self.folder.iterdir())]
            commit = "0" * 40 if self.fault == "moved" else COMMIT
            page = json.dumps({"id": NAME, "sha": commit, "siblings": siblings})
            self.answer(b"<html>log in first" if self.fault == "login" else page.encode())
        else:
            self.resolve(body=True)

    def do_HEAD(self):
        self.resolve(body=False)

    def entry(self, path):
        entry = {"rfilename": path.name, "size": path.stat().st_size, "blobId": "0" * 40}
        if path.name == WEIGHTS:
            entry["lfs"] = {"sha256": self.digest(path), "size": path.stat().st_size, "pointerSize": 134}
        return entry

    def digest(self, path):
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def resolve(self, body):
        prefix = f"/{NAME}/resolve/{COMMIT}/"
        path = self.folder / self.path.removeprefix(prefix)
        if not self.path.startswith(prefix) or not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        if self.fault == "another" and path.name == WEIGHTS:
            content = content[:-1] + bytes([content[-1] ^ 1])
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{self.digest(path)}"'}
        truncated = self.fault == "truncated" and path.name == WEIGHTS
        self.answer(content, headers, body=body, sent=len(content) // 2 if truncated else None)

    def answer(self, content, headers=None, body=True, sent=None):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content[:sent])

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoints.save(tiny_checkpoints.blip(2.5), tmp_path_factory.mktemp("blip"), 8)


@pytest.fixture
def hub(checkpoint: Path) -> Iterator[type[Hub]]:
    handler = type("TheHub", (Hub,), {"folder": checkpoint})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield handler
        server.shutdown()
        thread.join()


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
    direct = {"HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "HF_HUB_DISABLE_XET": "1"}
    direct["TQDM_POSITION"] = "-1"  # a bar even though nobody sees it
    return subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | direct)


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
