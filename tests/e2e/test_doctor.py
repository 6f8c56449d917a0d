# SPDX-License-Identifier: Apache-2.0
"""`imagier doctor` finds nothing wrong where the real server runs, and knows that server by its metrics."""

from __future__ import annotations

import json

import pytest
from imagier_client.cli import main
from support.real_server import REPOSITORY, Server


def test_where_the_server_runs_nothing_is_wrong(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    port = server.address.rpartition(":")[2]
    ports = ["--port", port, "--metrics-port", str(server.metrics_port)]
    assert main(["doctor", "--format", "json", *ports, "--model-repository", str(REPOSITORY)]) == 0
    said = json.loads(capsys.readouterr().out)
    found = {each["name"]: each["found"] for each in said["findings"]}
    assert said["wrong"] == 0
    assert found["gRPC port"] == f"{port}, a server of Imagier has it"
    assert found["models"].startswith("current: tagger, ")
    assert found["Triton"].startswith("2.51.0")
