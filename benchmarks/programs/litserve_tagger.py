# SPDX-License-Identifier: Apache-2.0
"""A LitServe server around one of our graphs, as a person would write it: Pillow's draft and bicubic scaling, as our decoder's.

Runs in LitServe's own environment and imports nothing of ours. One worker a core, one thread each. `noop` instead of a graph
answers without looking at the picture. LitServe reads the annotations of `decode_request`, so they are not postponed.
"""

import argparse
import io

import litserve
import numpy as np
import onnxruntime  # noqa: TID251 - another environment; its telemetry is off by a variable
from fastapi import Request
from PIL import Image


class Graph(litserve.LitAPI):
    """Decodes and scales the picture, runs the graph, and answers with the places of the five highest scores."""

    def __init__(self, graph: str, side: int, shorter: int) -> None:
        super().__init__()
        self.graph, self.side, self.shorter = graph, side, shorter

    def setup(self, device: str) -> None:  # noqa: ARG002
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.graph, options, providers=["CPUExecutionProvider"])

    def decode_request(self, request: Request) -> np.ndarray:
        picture = Image.open(io.BytesIO(request["image"].file.read()))
        scale = self.shorter / min(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale)) if self.shorter else (self.side, self.side)
        picture.draft("RGB", size)
        picture = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        left, top = (size[0] - self.side) // 2, (size[1] - self.side) // 2
        return np.asarray(picture.crop((left, top, left + self.side, top + self.side)))[np.newaxis]

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        return self.session.run(None, {"pixels": pixels})[0][0]

    def encode_response(self, scores: np.ndarray) -> dict[str, list[int]]:
        return {"best": np.argsort(scores, axis=None)[-5:][::-1].tolist()}


class Noop(litserve.LitAPI):
    """Takes the picture and answers."""

    def setup(self, device: str) -> None:
        pass

    def decode_request(self, request: Request) -> int:
        return len(request["image"].file.read())

    def predict(self, size: int) -> int:
        return size

    def encode_response(self, size: int) -> dict[str, int]:
        return {"bytes": size}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("graph")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--side", type=int, default=260)
    parser.add_argument("--shorter", type=int, default=297, help="0: squash the whole picture")
    arguments = parser.parse_args()
    api = Noop() if arguments.graph == "noop" else Graph(arguments.graph, arguments.side, arguments.shorter)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=arguments.workers)
    server.run(host="127.0.0.1", port=arguments.port, generate_client_file=False, log_level="warning")
