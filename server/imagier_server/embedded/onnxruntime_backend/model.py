# SPDX-License-Identifier: Apache-2.0
"""A Triton Python-based backend named `onnxruntime`: runs `<model>/<version>/model.onnx` as the native backend of that name does.

Triton runs this file in a process of each model instance; the gateway never imports it.
"""

# ruff: noqa: INP001  a folder of Triton's backend directory, no package of ours

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shared_session  # beside this file
import triton_python_backend_utils as pb_utils  # the stub brings it

REQUEST_ID = "imagier_request_id"
"""The output that returns the request's id: imagier_server/request_ids.py says why."""
TAKEN_OVER = b"used_dltensor"
rename = ctypes.pythonapi.PyCapsule_SetName
rename.argtypes = (ctypes.py_object, ctypes.c_char_p)


class TritonPythonModel:
    """One model instance. All of a model on one device share a session."""

    @staticmethod
    def auto_complete_config(config: pb_utils.ModelConfig) -> pb_utils.ModelConfig:
        """Auto-completion: none, the file is complete."""
        return config

    def initialize(self, args: dict[str, str]) -> None:
        """Load the graph; an exception here fails the model's load, with its text in Triton's log."""
        config = json.loads(args["model_config"])
        file = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"]) / args["model_version"] / file
        device = f"{args['model_name']}-{args['model_instance_kind']}-{args['model_instance_device_id']}"

        def opened() -> shared_session.Session:
            # Not above: the other instances need no ONNX Runtime.
            import sessions  # noqa: PLC0415

            return sessions.opened(path, config, args)

        # Triton is started in a folder that no other user can enter.
        self.session = shared_session.joined(device, Path.cwd(), opened)
        self.inputs = [tensor["name"] for tensor in config["input"]]
        outputs = [tensor["name"] for tensor in config["output"]]
        self.outputs = [name for name in outputs if name != REQUEST_ID]
        self.returns_ids = REQUEST_ID in outputs
        self.batches = config["max_batch_size"] > 0

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Answer the requests in order: one run per batch of Triton's, skipping cancelled requests."""
        cancelled = [request.is_cancelled() for request in requests]
        waiting = [request for request, gone in zip(requests, cancelled, strict=True) if not gone]
        groups = [waiting] if self.batches else [[request] for request in waiting]
        answers = iter([answer for group in groups if group for answer in self.answer(group)])
        return [
            failure("request cancelled", pb_utils.TritonError.CANCELLED) if gone else next(answers)
            for gone in cancelled
        ]

    def answer(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Run the requests' rows as one batch; on failure each gets the error."""
        try:
            return self.run(requests)
        except ConnectionError:  # the first instance's process has ended: a retry finds another Triton
            text, code = "the process of the model's session has ended", pb_utils.TritonError.UNAVAILABLE
        except Exception as error:  # noqa: BLE001  whatever it is, the instance must live on
            # Only the kind: the text may quote tensors (an index out of range, say).
            kind = error.kind if isinstance(error, shared_session.ElsewhereError) else type(error).__name__
            text, code = f"{kind} while the graph ran", pb_utils.TritonError.INTERNAL
        return [failure(text, code) for _ in requests]

    def run(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        feeds = [
            [np.from_dlpack(pb_utils.get_input_tensor_by_name(request, name)) for name in self.inputs]
            for request in requests
        ]
        batch = feeds[0] if len(feeds) == 1 else [np.concatenate(rows) for rows in zip(*feeds, strict=True)]
        results = self.session.run(self.outputs, dict(zip(self.inputs, batch, strict=True)))
        if len(feeds) == 1:
            return [self.response(requests[0], results)]
        ends = np.cumsum([len(feed[0]) for feed in feeds])
        if any(len(result) != ends[-1] for result in results):
            raise ValueError("the graph does not answer one row for each row it is given")
        answers = zip(*(np.split(result, ends[:-1]) for result in results), strict=True)
        return [self.response(request, rows) for request, rows in zip(requests, answers, strict=True)]

    def response(self, request: pb_utils.InferenceRequest, results: Sequence[np.ndarray]) -> pb_utils.InferenceResponse:
        tensors = [tensor(name, result) for name, result in zip(self.outputs, results, strict=True)]
        if self.returns_ids:
            shape = (len(results[0]), 1) if self.batches else (1,)
            tensors.append(tensor(REQUEST_ID, np.full(shape, number(request.request_id()), np.uint64)))
        return pb_utils.InferenceResponse(tensors)


def number(request_id: str) -> int:
    """The gateway's ids are numbers; other clients may have ids of another kind, or none, and get 0."""
    return int(request_id) if request_id.isdecimal() and int(request_id) < 1 << 64 else 0


def tensor(name: str, values: np.ndarray) -> pb_utils.Tensor:
    """`values` for Triton, by DLPack: the stub was compiled for numpy 1, and reads numpy 2's arrays as empty."""
    capsule = values.__dlpack__()
    made = pb_utils.Tensor.from_dlpack(name, capsule)
    # The stub misspells the capsule name by which numpy knows that its memory was taken over.
    rename(capsule, TAKEN_OVER)
    return made


def failure(text: str, code: int) -> pb_utils.InferenceResponse:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(text, code))
