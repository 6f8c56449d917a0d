# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks/captions_export.py --captions DIR`: the captioner on real Triton beside PyTorch, token by token.

DIR holds Flickr8k's `images-224.tar` and `captions.csv`; 200 of its photographs are asked for one by one, and eight a request. Exit
code 1 if a token differs.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import tritonclient.grpc.aio as tritonclient
from captions_quality import photographs
from captions_truth import read
from imagier_server import embedded
from imagier_server.export import flickr_captioner
from imagier_server.export.caption_search import CaptionSearch
from imagier_server.tasks.caption.task import MODEL

ROOT = Path(__file__).parents[1]
PICTURES = 200
BATCHES = (1, 8)


def in_pytorch(weights: Path, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Token ids and log-probabilities of the network as it was trained."""
    search = CaptionSearch(flickr_captioner.load(weights), flickr_captioner.SEARCH)
    with torch.inference_mode():
        answers = [search(torch.from_numpy(pixels[start : start + 20])) for start in range(0, len(pixels), 20)]
    return tuple(torch.cat(column).numpy() for column in zip(*answers, strict=True))


async def on_triton(address: str, pixels: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """The same from Triton, in requests of `batch` rows, four in flight."""
    async with tritonclient.InferenceServerClient(address) as client:
        places = asyncio.Semaphore(4)

        async def ask(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            tensor = tritonclient.InferInput("pixels", rows.shape, "UINT8")
            tensor.set_data_from_numpy(rows)
            async with places:
                answer = await client.infer(MODEL, [tensor])
            return answer.as_numpy("token_ids"), answer.as_numpy("log_probabilities")

        answers = await asyncio.gather(*(ask(pixels[start : start + batch]) for start in range(0, len(pixels), batch)))
    return tuple(np.concatenate(column) for column in zip(*answers, strict=True))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captions", type=Path, required=True, metavar="DIR")
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "captions_export.json")
    arguments = parser.parse_args()

    names = sorted(read(arguments.captions / "captions.csv", "validation"))[:PICTURES]
    pictures = photographs(arguments.captions / "images-224.tar", names)
    pixels = np.stack([pictures[name] for name in names])
    token_ids, log_probabilities = in_pytorch(arguments.repository / MODEL / "source" / "decoder.safetensors", pixels)
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        # Only this model: the others would take their time to load.
        (Path(folder) / MODEL).symlink_to((arguments.repository / MODEL).resolve())
        async with embedded.start(Path(folder), None, None, print) as triton:
            for batch in BATCHES:
                ids, sums = await on_triton(triton.grpc_address, pixels, batch)
                rows[str(batch)] = {
                    "same pictures": int((ids == token_ids).all(axis=(1, 2)).sum()),
                    "same best captions": int((ids[:, 0] == token_ids[:, 0]).all(axis=1).sum()),
                    "largest difference of a log-probability": float(np.abs(sums - log_probabilities).max()),
                }
    figures = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "data": "photographs of Flickr8k's validation split",
        "pictures": len(names),
        "captions of each": token_ids.shape[1],
        "by batch": rows,
    }
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    print(json.dumps(figures, indent=2))
    if any(row["same pictures"] < len(names) for row in rows.values()):
        sys.exit("Triton's tokens are not PyTorch's")


if __name__ == "__main__":
    asyncio.run(main())
