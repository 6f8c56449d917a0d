# SPDX-License-Identifier: Apache-2.0
"""Seconds of a batch on a GPU, by its rows: the tagger and the captioner in PyTorch, mixed precision, for scale.py.

The captioner's search is the same PyTorch module that is exported. With `--device cpu` it shows that the script works.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from efficientnet_lite_pytorch import EfficientNet
from imagier_server.export import flickr_captioner
from imagier_server.export.caption_search import CaptionSearch
from imagier_server.export.catalogue import CATALOGUE
from imagier_server.export.fetch import fetch
from throughput import OUTPUT, ROOT

BATCHES = (1, 2, 4, 8, 16, 32, 64)
ROUNDS = 20


def networks(device: torch.device) -> dict[str, tuple[Callable[[torch.Tensor], object], int]]:
    """Each network, from uint8 pixels (N, H, W, 3) on, and the side of its pictures."""
    tagger = EfficientNet.from_name("efficientnet-lite2").to(device).eval()
    weights = fetch(CATALOGUE["captioner"].source, ROOT / "model_repository")
    captioner = CaptionSearch(flickr_captioner.load(weights), flickr_captioner.SEARCH).to(device).eval()

    def tag(pixels: torch.Tensor) -> torch.Tensor:
        return tagger((pixels.permute(0, 3, 1, 2).float() - 127.5) / 127.5).softmax(dim=-1)

    return {"tagger": (tag, 260), "captioner": (captioner, flickr_captioner.SIDE)}


def seconds(network: Callable[[torch.Tensor], object], pixels: torch.Tensor, rounds: int) -> float:
    """The median of a batch, until the GPU is done with it."""
    took = []
    for number in range(rounds + 2):
        started = time.perf_counter()
        with torch.inference_mode(), torch.autocast(pixels.device.type, enabled=pixels.is_cuda):
            network(pixels)
        if pixels.is_cuda:
            torch.cuda.synchronize()
        if number >= 2:
            took.append(time.perf_counter() - started)
    return median(took)


def main() -> None:
    """Measure both and write gpu_curves.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path, default=OUTPUT / "gpu_curves.json")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    curves = {}
    for name, (network, side) in networks(device).items():
        pixels = torch.randint(0, 256, (max(BATCHES), side, side, 3), dtype=torch.uint8, device=device)
        curves[name] = {"rows": BATCHES, "seconds": [seconds(network, pixels[:n], arguments.rounds) for n in BATCHES]}
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "none"
    record = {"date": time.strftime("%Y-%m-%d"), "gpu": gpu, "torch": torch.__version__, "models": curves}
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
