# SPDX-License-Identifier: Apache-2.0
"""A real Triton starts with the flags of the manifests, answers what probes and gateways ask, and takes no orders."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request

import grpc
import pytest
from imagier_server import embedded
from imagier_server.embedded import process
from imagier_server.embedded.scratch import Scratch
from imagier_server.embedded.wheel import Wheel
from support.real_server import ROOT
from support.rendered import container
from tritonclient.grpc import service_pb2, service_pb2_grpc

OWN_COMMAND = process.command
# The wheel's Triton is older than this flag, which came with 26.04 and shuts what the restricted protocol shuts too.
TOO_NEW = "--allow-client-shm=false"


async def test_it_answers_probes_and_gateways_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        http_port = free.getsockname()[1]

    def command(wheel: Wheel, place: Scratch, grpc_port: tuple[str, int], metrics_port: int) -> list[str]:
        """The manifests' flags, where this machine's folders and ports leave them as they are."""
        given = container("gpu", "triton")["args"]
        assert TOO_NEW in given
        flags = [flag.replace("$(POD_UID)", "0b7e") for flag in given if flag != TOO_NEW]
        names = {flag.partition("=")[0] for flag in flags} - {"--model-repository"}
        ours = OWN_COMMAND(wheel, place, grpc_port, metrics_port)
        kept = [flag for flag in ours[1:] if flag.partition("=")[0] not in {*names, "--allow-http"}]
        flags.remove("--model-repository=/models")
        return [ours[0], *kept, *flags, "--http-address=127.0.0.1", f"--http-port={http_port}"]

    monkeypatch.setattr(process, "command", command)
    async with embedded.start(ROOT / "model_repository", models=["tagger"]) as triton:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert status(http_port, container("gpu", "triton")[probe]["httpGet"]["path"]) == 200
        for path in ("/v2", "/v2/models/tagger", "/v2/models/tagger/config", "/v2/models/tagger/stats", "/v2/logging"):
            assert status(http_port, path) == 403
        async with grpc.aio.insecure_channel(triton.grpc_address) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            assert (await stub.ModelReady(service_pb2.ModelReadyRequest(name="tagger"))).ready
            asked = await stub.ModelConfig(service_pb2.ModelConfigRequest(name="tagger"))
            assert asked.config.parameters["model_digest"].string_value
            for order in (
                stub.RepositoryIndex(service_pb2.RepositoryIndexRequest()),
                stub.RepositoryModelUnload(service_pb2.RepositoryModelUnloadRequest(model_name="tagger")),
                stub.SystemSharedMemoryStatus(service_pb2.SystemSharedMemoryStatusRequest()),
                stub.ModelStatistics(service_pb2.ModelStatisticsRequest(name="tagger")),
                stub.TraceSetting(service_pb2.TraceSettingRequest()),
                stub.LogSettings(service_pb2.LogSettingsRequest()),
            ):
                with pytest.raises(grpc.aio.AioRpcError, match="restricted"):
                    await order


def status(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code
