# SPDX-License-Identifier: Apache-2.0
"""A Triton client over gRPC: inference with raw contents, model readiness, and Triton's errors as ours."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from imagier_server import request_ids
from imagier_server.call import CallContext, Lane
from imagier_server.errors import (
    DeadlineError,
    EngineUnavailableError,
    Full,
    ImagierError,
    InternalError,
    ModelFailedError,
    ModelUnavailableError,
    OutOfStepError,
    OverloadedError,
)
from imagier_server.golden import Known
from imagier_server.logs import log
from imagier_server.messages import Tensors
from imagier_server.metrics import Metrics
from imagier_server.model_lock import LockedModel
from imagier_server.outcomes import FAILED, OK

Headers = tuple[tuple[str, str], ...]
"""gRPC metadata."""

# Of a model that takes other inputs, or fails at these.
_DRIFTED = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
_DATATYPES = {"UINT8": np.uint8, "INT32": np.int32, "INT64": np.int64, "FP32": np.float32}
_NAMES = {np.dtype(dtype).name: name for name, dtype in _DATATYPES.items()}
_CHANNEL_OPTIONS = (
    # The largest message is the detector's input, which its canvas bounds.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", 64 << 20),
    # Retries depend on the deadline and on another engine, so gRPC must not make them.
    ("grpc.enable_retries", 0),
    # A new channel means a new connection, even to the address of an old one.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
_CHECK_SECONDS = 2.0
_GOLDEN_SECONDS = 10.0
_AGAIN_SECONDS = 30.0  # before a model that drifts is asked its golden pairs again
# Messages that mean a lost process or device rather than a faulty picture: those of ONNX Runtime and CUDA, which persist until a
# restart, and the Python backend's about a process that is dead, hangs, or did not run for a second (request_ids.py).
_FAILED = re.compile(r"cu(da|dnn|blas|fft) ?(failure|error)|failed to allocate memory|out of memory")
_OUT_OF_STEP = re.compile(r"stub process.* is not healthy|failed to obtain the health mutex")


class TritonEngine:
    """One Triton at HOST:PORT.

    `models` come from models.lock; `headers` are sent with each request. A model is ready when Triton has it loaded
    and warm, its config has the digest and recipe of models.lock, and it gives its `golden` answers, if there are any.
    `returns_ids`: it is an embedded one, whose answers without their request's id are worth nothing (`request_ids`).
    """

    def __init__(
        self,
        address: str,
        models: Mapping[str, LockedModel],
        metrics: Metrics,
        headers: Callable[[], Headers] = tuple,
        golden: Mapping[str, Sequence[Known]] = MappingProxyType({}),
        *,
        returns_ids: bool = False,
    ) -> None:
        self._models = models
        self._headers = headers
        self._golden = golden
        self._returns_ids = returns_ids
        self._proven: set[str] = set()
        self._drifted: dict[str, float] = {}
        self._metrics = metrics
        self._label = metrics.add_engine(address)
        self._channel = grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._refused: set[str] = set()

    async def close(self) -> None:
        """Close the connection; requests in flight fail with `EngineUnavailableError`."""
        await self._channel.close(None)

    async def infer(self, model: str, inputs: Tensors, call: CallContext) -> Tensors:
        """Run `model` once. Inputs and outputs by name; the first dimension of each is the batch.

        Raises `DeadlineError` at the call's deadline (a finite one), `OverloadedError` when the model's queue is full,
        `ModelUnavailableError`, `ModelFailedError`, `EngineUnavailableError`, `InternalError`. Cancelling the caller cancels the
        request in Triton's queue.
        """
        seconds = call.seconds_left
        request = _request(model, inputs, call.lane, seconds)
        code = "ok"
        try:
            with self._metrics.engine_in_flight.labels(self._label).track_inprogress():
                response = await self._stub.ModelInfer(request, timeout=seconds, metadata=self._headers())
            outputs = self._read(request, response)
        except grpc.aio.AioRpcError as error:
            failure = _translate(error, model)
            code = failure.code.value
            raise failure from None  # Triton's text may hold what callers must not see
        except ImagierError as error:
            code = error.code.value
            raise
        except asyncio.CancelledError:
            code = "cancelled"
            if _cancelled_from_outside():
                raise
            raise _no_engine() from None  # our own channel was closed during the call
        finally:
            self._metrics.engine_requests.labels(model, code).inc()
            self._metrics.engine_attempts.labels(self._label, code).inc()
        self._metrics.engine_rows.labels(model).observe(next(iter(inputs.values())).shape[0])
        return outputs

    async def probe(self, model: str, inputs: Tensors, seconds: float) -> None:
        """Run `model` ahead of queued bulk work to check that it answers. Raises as `infer`; counts only as a probe."""
        outcome = FAILED
        request = _request(model, inputs, Lane.INTERACTIVE, seconds)
        try:
            self._read(request, await self._stub.ModelInfer(request, timeout=seconds))
            outcome = OK
        except grpc.aio.AioRpcError as error:
            raise _translate(error, model) from None
        finally:
            self._metrics.model_probes.labels(model, outcome).inc()

    async def check(self) -> Mapping[str, bool]:
        """Return which models are ready: none if nothing listens. Raises `TimeoutError` if Triton takes too long."""
        answers = await asyncio.gather(*(self._is_ready(locked) for locked in self._models.values()))
        ready = dict(zip(self._models, answers, strict=True))
        # What is not ready may come back as another process.
        self._proven &= {model for model, there in ready.items() if there}
        return ready

    async def _is_ready(self, locked: LockedModel) -> bool:
        try:
            answer = await self._stub.ModelReady(
                service_pb2.ModelReadyRequest(name=locked.role), timeout=_CHECK_SECONDS
            )
            if not answer.ready:
                return False
            config = await self._stub.ModelConfig(
                service_pb2.ModelConfigRequest(name=locked.role), timeout=_CHECK_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise TimeoutError from None
            return False
        except asyncio.CancelledError:
            if _cancelled_from_outside():
                raise
            return False
        parameters = config.config.parameters
        loaded = (parameters["model_digest"].string_value, parameters["export_recipe"].string_value)
        if loaded == (locked.source_digest, str(locked.recipe)):
            self._refused.discard(locked.role)
            return await self._is_golden(locked.role)
        if locked.role not in self._refused:  # logged once, not at every check
            self._refused.add(locked.role)
            log(logging.ERROR, "model refused: its digest or recipe differs from models.lock", model=locked.role)
        return False

    async def _is_golden(self, model: str) -> bool:
        """Whether the model gives its golden answers. Asked once, and again after it has been away, or has drifted a while."""
        if model in self._proven or model not in self._golden:
            return True
        now = asyncio.get_running_loop().time()
        if now < self._drifted.get(model, 0):
            return False
        try:
            for golden in self._golden[model]:
                request = _request(model, golden.inputs, Lane.INTERACTIVE, _GOLDEN_SECONDS)
                outputs = self._read(request, await self._stub.ModelInfer(request, timeout=_GOLDEN_SECONDS))
                if not golden.agrees(outputs):
                    raise InternalError
        except grpc.aio.AioRpcError as error:
            if error.code() not in _DRIFTED:
                return False  # busy, or away: asked again at the next check
            self._drifts(model, now)
        except OutOfStepError:
            return False
        except InternalError:
            self._drifts(model, now)
        else:
            self._drifted.pop(model, None)
            self._proven.add(model)
        return model in self._proven

    def _drifts(self, model: str, now: float) -> None:
        if model not in self._drifted:  # logged once, not at every check
            log(logging.ERROR, "model refused: its answers are not those of its golden pairs", model=model)
        self._drifted[model] = now + _AGAIN_SECONDS

    def _read(self, request: service_pb2.ModelInferRequest, response: service_pb2.ModelInferResponse) -> Tensors:
        """Raises as `read_outputs`, and `OutOfStepError` for the answer to another request."""
        names = (output.name for output in response.outputs)
        named = zip(names, response.raw_output_contents, strict=False)  # `read_outputs` counts them
        if self._returns_ids and request_ids.returned(named) != request.id:
            raise _out_of_step(request.model_name)
        return read_outputs(response)


def read_outputs(response: service_pb2.ModelInferResponse) -> Tensors:
    """Return the tensors by name.

    Raises `InternalError` if types, shapes and bytes do not match, and for NaN and infinities: without the latter, a model that
    overflows (in half precision, say) would look like one that finds nothing.
    """
    try:
        tensors = {
            output.name: np.frombuffer(raw, _DATATYPES[output.datatype]).reshape(tuple(output.shape))
            for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
            if output.name != request_ids.OUTPUT
        }
    except (KeyError, ValueError):
        log(logging.ERROR, "inference returned malformed tensors", model=response.model_name)
        raise InternalError from None
    if not all(np.isfinite(tensor).all() for tensor in tensors.values() if tensor.dtype.kind == "f"):
        log(logging.ERROR, "inference returned NaN or infinity", model=response.model_name)
        raise InternalError
    return tensors


def _request(model: str, inputs: Tensors, lane: Lane, seconds: float) -> service_pb2.ModelInferRequest:
    request = service_pb2.ModelInferRequest(model_name=model, id=request_ids.new())
    request.parameters["priority"].uint64_param = lane.value
    # In microseconds: Triton's queue drops requests past their deadline.
    request.parameters["timeout"].int64_param = max(1, int(seconds * 1e6))
    for name, tensor in inputs.items():
        request.inputs.add(name=name, datatype=_NAMES[tensor.dtype.name], shape=tensor.shape)
        request.raw_input_contents.append(tensor.tobytes())
    return request


def _cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _no_engine() -> EngineUnavailableError:
    return EngineUnavailableError("the inference engine does not answer")


def _out_of_step(model: str) -> OutOfStepError:
    return OutOfStepError(f"the model {model} is failing on this engine")


def _translate(error: grpc.aio.AioRpcError, model: str) -> ImagierError:
    """Map Triton's status to our errors. Its UNAVAILABLE means three things, distinguished only by text (qa/L0_model_queue)."""
    status, details = error.code(), (error.details() or "").lower()
    if status is grpc.StatusCode.DEADLINE_EXCEEDED or "request timeout expired" in details:
        return DeadlineError()
    if "maximum queue size" in details or status is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return OverloadedError(f"the queue of the model {model} is full", Full.QUEUE)
    if status is grpc.StatusCode.NOT_FOUND or "not ready" in details or "unknown model" in details:
        return ModelUnavailableError(f"the model {model} is not ready")
    if _OUT_OF_STEP.search(details):
        return _out_of_step(model)
    if _FAILED.search(details):
        return ModelFailedError(f"the model {model} is failing on this engine")
    if status in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
        return _no_engine()
    log(logging.ERROR, "inference failed", model=model, status=status.name)
    return InternalError()
