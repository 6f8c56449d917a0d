# SPDX-License-Identifier: Apache-2.0
"""A Triton that does as it is told: real gRPC, Triton's own protocol, scripted answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import numpy as np
from imagier_server.model_lock import LockedModel
from tritonclient.grpc import service_pb2, service_pb2_grpc

Behaviour = Callable[
    [service_pb2.ModelInferRequest, grpc.aio.ServicerContext], Awaitable[service_pb2.ModelInferResponse]
]


def locked(role: str, digest: str = "d" * 64) -> LockedModel:
    return LockedModel(role, "brand", "1", "source", digest, 1, "MIT", False, (), {}, {})


def response(**outputs: np.ndarray) -> service_pb2.ModelInferResponse:
    message = service_pb2.ModelInferResponse()
    names = {"uint8": "UINT8", "int32": "INT32", "int64": "INT64", "float32": "FP32"}
    for name, tensor in outputs.items():
        message.outputs.add(name=name, datatype=names[tensor.dtype.name], shape=tensor.shape)
        message.raw_output_contents.append(tensor.tobytes())
    return message


@dataclass
class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """`behaviours` by model; a model without one answers with zeros of the tagger's shape."""

    models: dict[str, LockedModel]
    loaded: set[str] = field(default_factory=set)
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    requests: list[service_pb2.ModelInferRequest] = field(default_factory=list)
    cancelled: int = 0
    silent: bool = False
    """Never says whether a model is ready."""

    async def ModelReady(
        self, request: service_pb2.ModelReadyRequest, context: object
    ) -> service_pb2.ModelReadyResponse:
        if self.silent:
            await asyncio.Event().wait()
        return service_pb2.ModelReadyResponse(ready=request.name in self.loaded)

    async def ModelConfig(
        self, request: service_pb2.ModelConfigRequest, context: object
    ) -> service_pb2.ModelConfigResponse:
        answer = service_pb2.ModelConfigResponse()
        answer.config.parameters["model_digest"].string_value = self.models[request.name].source_digest
        answer.config.parameters["export_recipe"].string_value = str(self.models[request.name].recipe)
        return answer

    async def ModelInfer(
        self, request: service_pb2.ModelInferRequest, context: grpc.aio.ServicerContext
    ) -> service_pb2.ModelInferResponse:
        self.requests.append(request)
        try:
            if behaviour := self.behaviours.get(request.model_name):
                return await behaviour(request, context)
            return response(scores=np.full((1, 1000), 0.001, np.float32))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@asynccontextmanager
async def serving(fake: FakeTriton, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Listens on loopback; yields the port."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(fake, server)
    port = server.add_insecure_port(f"{host}:{port}")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


def refusing(code: grpc.StatusCode, text: str) -> Behaviour:
    """Answers every request with that status."""

    async def behaviour(
        request: service_pb2.ModelInferRequest, context: grpc.aio.ServicerContext
    ) -> service_pb2.ModelInferResponse:
        await context.abort(code, text)

    return behaviour


async def never(
    request: service_pb2.ModelInferRequest, context: grpc.aio.ServicerContext
) -> service_pb2.ModelInferResponse:
    """Does not answer until it is cancelled."""
    await asyncio.Event().wait()
    raise AssertionError
