# SPDX-License-Identifier: Apache-2.0
"""`python training/captioner.py --data DIR`: trains the default captioner's decoder, into model_repository/captioner/source.

DIR holds Flickr8k's `images-224.tar` and `captions.csv`. About an hour on two cores, and 2 GB in --work for the features of the
photographs and of their mirror images. The model card, model_repository/captioner/source/README.md, says what to do afterwards.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import tarfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from imagier_server.export.flickr_captioner import (
    CELLS,
    CHANNELS,
    END,
    LENGTH,
    PAD,
    SPECIALS,
    START,
    UNKNOWN,
    FlickrDecoder,
    Shape,
    features,
    load_backbone,
)
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from torch.nn import functional

REPOSITORY = Path(__file__).parents[1] / "model_repository"
SEED = 0
CAPTIONS = 5
"""Of each photograph."""
SELDOM = 4
"""A word that is seen less often in training is unknown."""

VIEWS = 2
"""Of each photograph: itself, and its mirror image."""


@dataclass(frozen=True)
class Photographs:
    """The training split. `tokens` INT64 [pictures, CAPTIONS, 1 + length], from START on, padded; `views` FP16 features by view."""

    words: tuple[str, ...]
    tokens: npt.NDArray[np.int64]
    views: npt.NDArray[np.float16]

    def batches(self, size: int, rng: np.random.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """An epoch: (features of some photographs, each in some view; their captions, as long as the longest)."""
        order = rng.permutation(len(self.tokens))
        for start in range(0, len(order) - size + 1, size):
            pictures = order[start : start + size]
            tokens = torch.from_numpy(self.tokens[pictures])
            longest = int((tokens != PAD).sum(-1).max())
            views = self.views[pictures, rng.integers(0, VIEWS, size)]
            yield torch.from_numpy(views).float(), tokens[..., :longest]


def read(data: Path, work: Path, length: int) -> Photographs:
    """The training split of `data`; features are computed once and kept in `work`."""
    captions: dict[str, list[list[str]]] = defaultdict(list)
    with (data / "captions.csv").open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            if row["split"] == "train":
                captions[row["image"]].append(re.findall(r"[a-z0-9']+", row["caption"].lower()))
    names = sorted(captions)
    seen = Counter(word for name in names for caption in captions[name] for word in caption)
    words = (*SPECIALS, *sorted(word for word, count in seen.items() if count >= SELDOM))
    ids = {word: place for place, word in enumerate(words)}
    tokens = np.full((len(names), CAPTIONS, 1 + length), PAD, np.int64)
    for picture, name in enumerate(names):
        for place, caption in enumerate(captions[name][:CAPTIONS]):
            row = [START, *(ids.get(word, UNKNOWN) for word in caption[: length - 1]), END]
            tokens[picture, place, : len(row)] = row
    kept = work / "views.npy"
    if not kept.is_file():
        look(data / "images-224.tar", names, kept)
    return Photographs(words, tokens, np.load(kept, mmap_mode="r"))


def look(archive: Path, names: list[str], kept: Path) -> None:
    """Writes the features of all views, FP16 [pictures, VIEWS, CELLS, CHANNELS], to `kept`."""
    with tarfile.open(archive) as files:
        pictures = {Path(member.name).name: files.extractfile(member).read() for member in files if member.isfile()}  # type: ignore[union-attr]
    backbone = load_backbone()
    unfinished = kept.with_suffix(".partial")
    rows = np.lib.format.open_memmap(unfinished, "w+", np.float16, (len(names), VIEWS, CELLS, CHANNELS))
    for view in range(VIEWS):
        for start in range(0, len(names), 16):
            opened = (Image.open(io.BytesIO(pictures[name])).convert("RGB") for name in names[start : start + 16])
            pixels = np.stack([np.asarray(picture) for picture in opened])
            if view:
                pixels = pixels[:, :, ::-1].copy()
            with torch.inference_mode():
                rows[start : start + len(pixels), view] = features(backbone, torch.from_numpy(pixels)).numpy()
        print(f"view {view + 1} of {VIEWS}", flush=True)
    rows.flush()
    unfinished.rename(kept)


class Average:
    """The moving average of a network's weights while it learns, which writes better captions than the weights themselves."""

    def __init__(self, network: FlickrDecoder, keep: float) -> None:
        self.network = FlickrDecoder(network.shape).eval()
        self.network.load_state_dict(network.state_dict())
        self.keep, self.steps = keep, 0

    @torch.no_grad()
    def update(self, network: FlickrDecoder) -> None:
        self.steps += 1
        keep = min(self.keep, (1 + self.steps) / (10 + self.steps))
        for ours, theirs in zip(self.network.parameters(), network.parameters(), strict=True):
            ours.lerp_(theirs, 1 - keep)


def train(photographs: Photographs, epochs: int) -> FlickrDecoder:
    """The next word of people's captions, by cross entropy."""
    size, rate, rng = 32, 6e-4, np.random.default_rng(SEED)
    network = FlickrDecoder(Shape(words=len(photographs.words)), dropout=0.15)
    average = Average(network, 0.995)
    matrices = [weight for name, weight in network.named_parameters() if weight.ndim > 1 and "words" not in name]
    others = [weight for name, weight in network.named_parameters() if weight.ndim == 1 or "words" in name]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
        lr=rate,
        betas=(0.9, 0.98),
    )
    steps = epochs * (len(photographs.tokens) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps + 1, pct_start=0.1)
    network.train()
    for epoch in range(epochs):
        losses, started = [], time.monotonic()
        for views, tokens in photographs.batches(size, rng):
            # Some words and some cells are hidden, so that it learns to look at the picture, and at all of it.
            hidden = (torch.rand(tokens.shape) < 0.05) & (tokens > UNKNOWN)
            visible = torch.rand(*views.shape[:2], 1) > 0.1
            loss = next_word(network, views * visible, tokens.masked_fill(hidden, UNKNOWN), tokens)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            average.update(network)
            losses.append(loss.item())
        print(
            f"epoch {epoch + 1} of {epochs}: loss {np.mean(losses):.3f}, {time.monotonic() - started:.0f} s", flush=True
        )
    return average.network


def next_word(network: FlickrDecoder, views: torch.Tensor, shown: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Cross entropy of each word that is `wanted`, after those before it as they are `shown`."""
    following = wanted[..., 1:]
    counted = following != PAD
    scores = network.score(network(views, shown[..., :-1])[counted])
    return functional.cross_entropy(scores, following[counted], label_smoothing=0.1)


def save(network: FlickrDecoder, words: tuple[str, ...], folder: Path) -> None:
    """The weights in half precision, and the words."""
    folder.mkdir(exist_ok=True)
    weights = {name: weight.half().contiguous() for name, weight in network.state_dict().items()}
    save_file(weights, folder / "decoder.safetensors")
    tokenizer = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(words)}, unk_token=SPECIALS[UNKNOWN])
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(list(SPECIALS))
    tokenizer.save(str(folder / "tokenizer.json"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--work", type=Path, default=Path("training-work"), metavar="DIR")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "captioner" / "source", metavar="DIR")
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    arguments.work.mkdir(exist_ok=True)
    photographs = read(arguments.data, arguments.work, LENGTH)
    network = train(photographs, arguments.epochs)
    save(network, photographs.words, arguments.out)


if __name__ == "__main__":
    main()
