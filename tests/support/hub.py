# SPDX-License-Identifier: Apache-2.0
"""A hub of models that speaks the real one's HTTP."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WEIGHTS = "model.safetensors"


class Hub(BaseHTTPRequestHandler):
    """One model `name` at `commit`, its files those of `folder`; `fault` is what goes wrong with its weights."""

    folder: Path
    name: str
    commit: str
    fault = ""
    url: str

    def do_GET(self):
        revisions = tuple(f"/api/models/{self.name}/revision/{revision}" for revision in (self.commit, "main"))
        if self.path.startswith(revisions):
            siblings = [self.entry(path) for path in sorted(self.folder.iterdir())]
            commit = "0" * 40 if self.fault == "moved" else self.commit
            page = json.dumps({"id": self.name, "sha": commit, "siblings": siblings})
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
        prefix = f"/{self.name}/resolve/{self.commit}/"
        path = self.folder / self.path.removeprefix(prefix)
        if not self.path.startswith(prefix) or not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        if self.fault == "another" and path.name == WEIGHTS:
            content = content[:-1] + bytes([content[-1] ^ 1])
        headers = {"X-Repo-Commit": self.commit, "ETag": f'"{self.digest(path)}"'}
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


@contextmanager
def serving(folder: Path, name: str, commit: str) -> Iterator[type[Hub]]:
    """A hub with the one model."""
    handler = type("TheHub", (Hub,), {"folder": folder, "name": name, "commit": commit})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield handler
        server.shutdown()
        thread.join()


def environment(hub: type[Hub]) -> dict[str, str]:
    """What a process needs to take its models from `hub`."""
    direct = {"HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "HF_HUB_DISABLE_XET": "1"}
    return direct | {"TQDM_POSITION": "-1"}  # a bar even though nobody sees it
