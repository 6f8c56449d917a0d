# SPDX-License-Identifier: Apache-2.0
"""`make pin-images` before a registry of this test: tags become digests, whatever else a file says stays as it is."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.rendered import DEPLOY

TOKEN = "for-nobody-in-particular"


class Registry(BaseHTTPRequestHandler):
    """The pull half of the v2 HTTP API, with anonymous tokens: the manifest of an image is its own name."""

    lies = False

    def do_GET(self) -> None:
        host = f"http://127.0.0.1:{self.server.server_address[1]}"
        if self.path.startswith("/token?"):
            self.answer(200, json.dumps({"token": TOKEN}).encode(), {})
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.answer(401, b"", {"WWW-Authenticate": f'Bearer realm="{host}/token",service="r",scope="pull"'})
        elif "image.index" not in self.headers["Accept"] or "missing" in self.path:
            self.answer(404, b"", {})
        else:
            body = manifest(self.path)
            said = "0" * 64 if self.lies else hashlib.sha256(body).hexdigest()
            self.answer(200, body, {"Docker-Content-Digest": f"sha256:{said}"})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not in a test's output."""


def manifest(path: str) -> bytes:
    return json.dumps({"schemaVersion": 2, "annotations": {"path": path}}).encode()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def pin(registry: str, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DEPLOY / "pin_images.py"), "--through", registry, *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_image_of_somebody_elses_gets_the_digest_of_its_manifest(registry: str, tmp_path: Path) -> None:
    before = {}
    for number, name in enumerate(("Dockerfile", "compose.yaml", "compose.home.yaml", "kubernetes/base/triton.yaml")):
        place = tmp_path / f"{number}"
        shutil.copy(DEPLOY / name, place)
        before[place] = re.sub(r"@sha256:[0-9a-f]{64}", "", place.read_text("utf-8"))
    done = pin(registry, *before)
    assert (done.returncode, done.stderr) == (0, "")
    pinned = set(re.findall(r": (\S+)@", done.stdout))
    assert {name.partition(":")[0] for name in pinned} == {
        "python",
        "nvcr.io/nvidia/tritonserver",
        "prom/prometheus",
        "grafana/grafana",
    }
    for place, text in before.items():
        after = place.read_text("utf-8")
        assert re.sub(r"@sha256:[0-9a-f]{64}", "", after) == text
    dockerfile = (tmp_path / "0").read_text("utf-8")
    expected = hashlib.sha256(manifest("/v2/library/python/manifests/3.11-slim-bookworm")).hexdigest()
    assert f"FROM python:3.11-slim-bookworm@sha256:{expected} AS server\n" in dockerfile
    assert "FROM scratch AS model-files\n" in dockerfile
    assert "image: imagier-gateway:0.1.0\n" in (tmp_path / "1").read_text("utf-8")


def test_pinning_again_changes_the_digest_not_the_rest(registry: str, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(f"    image: grafana/grafana:12.2.0@sha256:{'a' * 64}\n", "utf-8")
    assert pin(registry, file).returncode == 0
    once = file.read_text("utf-8")
    assert "a" * 64 not in once
    assert pin(registry, file).returncode == 0
    assert file.read_text("utf-8") == once


def test_a_registry_that_lies_changes_nothing(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "lies", True)
    file = tmp_path / "compose.yaml"
    file.write_text("    image: grafana/grafana:12.2.0\n", "utf-8")
    done = pin(registry, file)
    assert done.returncode == 1
    assert "the registry says" in done.stderr
    assert file.read_text("utf-8") == "    image: grafana/grafana:12.2.0\n"


def test_an_image_that_is_not_there_changes_nothing(registry: str, tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM example.org/missing:1\n", "utf-8")
    assert pin(registry, file).returncode == 1
    assert file.read_text("utf-8") == "FROM example.org/missing:1\n"
