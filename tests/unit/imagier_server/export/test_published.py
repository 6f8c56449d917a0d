# SPDX-License-Identifier: Apache-2.0
"""Weights from an address: what arrives is what the catalogue says, or nothing is installed."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from imagier_server import export
from imagier_server.export import published
from imagier_server.export.catalogue import BY_NAME
from imagier_server.export.errors import ExportError
from imagier_server.export.model_row import PublishedFile
from imagier_server.tasks.ocr.recognizers import FURTHER, SCRIPTS

WEIGHTS = b"weights" * 1000
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


class Publisher(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path == "/rec.onnx"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(WEIGHTS if found else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Publisher) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_is_downloaded(address: str, tmp_path: Path) -> None:
    path = published.download(PublishedFile(f"{address}/rec.onnx", "1", DIGEST), tmp_path)
    assert path.read_bytes() == WEIGHTS


def test_another_file_is_refused(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExportError, match=f"has SHA-256 {DIGEST}, expected {'0' * 64}"):
        published.download(PublishedFile(f"{address}/rec.onnx", "1", "0" * 64), tmp_path)
    with pytest.raises(ExportError, match="cannot be downloaded: HTTP Error 404"):
        published.download(PublishedFile(f"{address}/none.onnx", "1", DIGEST), tmp_path)
    monkeypatch.setattr(published, "MOST_BYTES", 100)
    with pytest.raises(ExportError, match="larger than 100 bytes"):
        published.download(PublishedFile(f"{address}/rec.onnx", "1", DIGEST), tmp_path)


def test_addresses_and_digests_are_those_of_rapidocrs_own_catalogue() -> None:
    found = metadata.distribution("rapidocr").locate_file("rapidocr/default_models.yaml")
    theirs = yaml.safe_load(Path(str(found)).read_text("utf-8"))["onnxruntime"]["PP-OCRv5"]["rec"]
    assert {role.removeprefix(FURTHER) for role in BY_NAME} == set(SCRIPTS)
    for row in BY_NAME.values():
        assert isinstance(row.source, PublishedFile)
        assert theirs[row.brand] == {"model_dir": row.source.url, "SHA256": row.source.sha256}


def test_a_further_recogniser_is_installed_by_its_name_beside_the_default_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a copy of a graph of the same kind: the default recogniser's, as the published ones are not within reach."""
    from dataclasses import replace
    from types import MappingProxyType

    role = "text_recognizer_greek"
    weights = export.fetch(export.CATALOGUE["text_recognizer"].source, tmp_path)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    row = replace(BY_NAME[role], source=replace(BY_NAME[role].source, sha256=digest))
    monkeypatch.setattr(export, "BY_NAME", MappingProxyType({role: row}))
    (tmp_path / "text_recognizer").mkdir()
    config = Path(__file__).parents[4] / "model_repository/text_recognizer/config.pbtxt"
    (tmp_path / "text_recognizer/config.pbtxt").write_text(config.read_text("utf-8"), "utf-8")
    assert role not in export.status(tmp_path)
    assert export.install_models(tmp_path, [f"{role}={weights}"]) == {role: export.State.MISSING}
    assert export.status(tmp_path)[role].state is export.State.CURRENT
    written = (tmp_path / role / "config.pbtxt").read_text("utf-8")
    assert f'name: "{role}"' in written
    assert digest in written
    assert 'key: "export_recipe" value { string_value: "1" }' in written
    assert len((tmp_path / role / "assets/charset.txt").read_text("utf-8").split("\n")) > 1000
