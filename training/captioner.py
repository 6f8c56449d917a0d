# SPDX-License-Identifier: Apache-2.0
"""`python training/captioner.py --data DIR`: trains the default captioner's decoder, into model_repository/captioner/source.

DIR holds Flickr8k's `images-224.tar` and `captions.csv`. Two hours on two cores and 6 GB in --work, most of it the features of six
views of each photograph. Afterwards: benchmarks/captions_quality.py --fit, which measures it and calibrates its confidence.
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
from caption_reward import Rewards
from imagier_server.export.flickr_captioner import (
    CELLS,
    CHANNELS,
    END,
    LENGTH,
    NEVER,
    PAD,
    SIDE,
    SPECIALS,
    START,
    UNKNOWN,
    FlickrDecoder,
    Shape,
    features,
    load_backbone,
)
from PIL import Image, ImageEnhance
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from torch.nn import functional

REPOSITORY = Path(__file__).parents[1] / "model_repository"
SEED = 0
CAPTIONS = 5
"""Of each photograph."""
SELDOM = 4
"""A word that is seen less often in training is unknown."""

VIEWS = 6
"""Of each photograph: itself, its mirror image, and crops of it in other light."""
VIEW_SHARES = (0.25, 0.25, 0.125, 0.125, 0.125, 0.125)
"""How often each is shown: what the served model will see, a whole photograph, most often."""


@dataclass(frozen=True)
class Photographs:
    """The training split. `tokens` INT64 [pictures, CAPTIONS, 1 + length], from START on, padded; `views` FP16 features by view."""

    words: tuple[str, ...]
    tokens: npt.NDArray[np.int64]
    views: npt.NDArray[np.float16]

    def batches(
        self, size: int, rng: np.random.Generator
    ) -> Iterator[tuple[npt.NDArray[np.int64], torch.Tensor, torch.Tensor]]:
        """An epoch: (which pictures, their features in some view, their captions as long as the longest)."""
        order = rng.permutation(len(self.tokens))
        for start in range(0, len(order) - size + 1, size):
            pictures = order[start : start + size]
            views = rng.choice(VIEWS, size, p=VIEW_SHARES)
            tokens = torch.from_numpy(self.tokens[pictures])
            longest = int((tokens != PAD).sum(-1).max())
            yield pictures, torch.from_numpy(self.views[pictures, views]).float(), tokens[..., :longest]


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
    rng = np.random.default_rng(SEED)
    unfinished = kept.with_suffix(".partial")
    rows = np.lib.format.open_memmap(unfinished, "w+", np.float16, (len(names), VIEWS, CELLS, CHANNELS))
    for view in range(VIEWS):
        for start in range(0, len(names), 16):
            opened = (Image.open(io.BytesIO(pictures[name])).convert("RGB") for name in names[start : start + 16])
            pixels = np.stack([np.asarray(seen(picture, view, rng)) for picture in opened])
            with torch.inference_mode():
                rows[start : start + len(pixels), view] = features(backbone, torch.from_numpy(pixels)).numpy()
        print(f"view {view + 1} of {VIEWS}", flush=True)
    rows.flush()
    unfinished.rename(kept)


def seen(picture: Image.Image, view: int, rng: np.random.Generator) -> Image.Image:
    """The photograph, its mirror image, or at random a crop of 60 to 100 % of it, mirrored or not, in other light."""
    if view == 0:
        return picture
    if view == 1:
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    area, aspect = rng.uniform(0.6, 1), np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
    width, height = min(SIDE, SIDE * np.sqrt(area * aspect)), min(SIDE, SIDE * np.sqrt(area / aspect))
    left, top = rng.uniform(0, SIDE - width), rng.uniform(0, SIDE - height)
    picture = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for light, least, most in (
        (ImageEnhance.Brightness, 0.8, 1.2),
        (ImageEnhance.Contrast, 0.8, 1.2),
        (ImageEnhance.Color, 0.7, 1.3),
    ):
        picture = light(picture).enhance(rng.uniform(least, most))
    return picture


class Average:
    """The moving average of a network's weights while it learns, which writes better captions than the weights themselves."""

    def __init__(self, network: FlickrDecoder, keep: float) -> None:
        self.network = FlickrDecoder(network.shape).eval()
        self.network.load_state_dict(network.state_dict())
        self.keep, self.steps = keep, 0

    @torch.no_grad()
    def update(self, network: FlickrDecoder) -> None:
        self.steps += 1
        keep = min(self.keep, self.steps / (9 + self.steps))
        for ours, theirs in zip(self.network.parameters(), network.parameters(), strict=True):
            ours.lerp_(theirs, 1 - keep)


def teach(photographs: Photographs, shape: Shape, epochs: int) -> FlickrDecoder:
    """First stage: the next word of people's captions, by cross entropy."""
    size, rate, rng = 24, 5e-4, np.random.default_rng(SEED)
    network = FlickrDecoder(shape, dropout=0.15)
    average = Average(network, 0.997)
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
        for _, views, tokens in photographs.batches(size, rng):
            # Some words and some cells are hidden, so that it learns to look at the picture, and at all of it.
            hidden = (torch.rand(tokens.shape) < 0.1) & (tokens > UNKNOWN)
            visible = torch.rand(*views.shape[:2], 1) > 0.1
            loss = next_word(network, views * visible, tokens.masked_fill(hidden, UNKNOWN), tokens)
            step(network, optimizer, loss)
            schedule.step()
            average.update(network)
            losses.append(loss.item())
        print(
            f"epoch {epoch + 1} of {epochs}: loss {np.mean(losses):.3f}, {time.monotonic() - started:.0f} s", flush=True
        )
    return average.network


def refine(photographs: Photographs, taught: FlickrDecoder, epochs: int) -> FlickrDecoder:
    """Second stage: whole captions of its own, rewarded by CIDEr.

    Rennie et al., "Self-Critical Sequence Training" (2017, arXiv:1612.00563); the baseline of a sample is the mean of the picture's
    others (Luo 2020, arXiv:2003.09971). A share of the first stage's loss keeps its captions in the language of people.
    """
    size, rate, share, rng = 24, 4e-5, 0.1, np.random.default_rng(SEED)
    rewards = Rewards([[spoken(caption) for caption in captions] for captions in photographs.tokens.tolist()])
    network = FlickrDecoder(taught.shape, dropout=0.1)
    network.load_state_dict(taught.state_dict())
    average = Average(network, 0.995)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    steps = epochs * (len(photographs.tokens) // size)
    falling = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda done: min(1, (done + 1) / 50) * (1 - 0.9 * done / steps)
    )
    for epoch in range(epochs):
        earned, started = [], time.monotonic()
        for pictures, views, tokens in photographs.batches(size, rng):
            network.eval()
            samples = sample(network, views)
            reward = torch.tensor(
                [
                    [rewards.of(spoken(caption), picture) for caption in captions]
                    for picture, captions in zip(pictures.tolist(), samples.tolist(), strict=True)
                ]
            )
            others = (reward.sum(1, keepdim=True) - reward) / (CAPTIONS - 1)
            network.train()
            loss = share * next_word(network, views, tokens, tokens)
            loss = loss - ((reward - others)[..., None] * said(network, views, samples)).sum() / (samples > START).sum()
            step(network, optimizer, loss)
            falling.step()
            average.update(network)
            earned.append(reward.mean().item())
        print(
            f"epoch {epoch + 1} of {epochs}: reward {np.mean(earned):.3f}, {time.monotonic() - started:.0f} s",
            flush=True,
        )
    return average.network


def next_word(network: FlickrDecoder, views: torch.Tensor, shown: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Cross entropy of each word that is `wanted`, after those before it as they are `shown`."""
    following = wanted[..., 1:]
    counted = following != PAD
    scores = network.score(network(views, shown[..., :-1])[counted])
    return functional.cross_entropy(scores, following[counted], label_smoothing=0.1)


def said(network: FlickrDecoder, views: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
    """The log-probability of each token of `samples` [pictures, captions, 1 + length] after START; 0 for padding."""
    following = samples[..., 1:]
    scores = torch.where(network.sayable, network.score(network(views, samples[..., :-1])), NEVER)
    chosen = scores.log_softmax(-1).gather(-1, following[..., None])[..., 0]
    return torch.where(following == PAD, 0.0, chosen)


@torch.no_grad()
def sample(network: FlickrDecoder, views: torch.Tensor) -> torch.Tensor:
    """CAPTIONS captions of each picture, word by word as probable as the network has them: [pictures, CAPTIONS, 1 + length]."""
    memory = network.look(views)
    scores, caches = network.begin(memory)
    tokens = torch.multinomial(scores.softmax(-1), CAPTIONS, replacement=True)
    written = [torch.full_like(tokens, START), tokens]
    caches = [cache[:, None].expand(-1, CAPTIONS, -1, -1, -1) for cache in caches]
    for position in range(network.shape.length - 1):
        ended = (tokens == END) | (tokens == PAD)
        if ended.all():
            break
        scores, caches = network.step(tokens, torch.tensor(position), memory, caches)
        tokens = torch.multinomial(scores.softmax(-1).flatten(0, 1), 1).view(tokens.shape)
        if position == network.shape.length - 2:
            tokens = torch.full_like(tokens, END)
        tokens = tokens.masked_fill(ended, PAD)
        written.append(tokens)
    return torch.stack(written, -1)


def spoken(caption: list[int]) -> list[int]:
    """A caption's tokens, its end included, without what stands around it."""
    return [token for token in caption if token not in (START, PAD)]


def step(network: FlickrDecoder, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()


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
    parser.add_argument("--epochs", type=int, nargs=2, default=(7, 3), help="of the first and of the second stage")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "captioner" / "source", metavar="DIR")
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    arguments.work.mkdir(exist_ok=True)
    photographs = read(arguments.data, arguments.work, LENGTH)
    shape = Shape(words=len(photographs.words))
    network = refine(photographs, teach(photographs, shape, arguments.epochs[0]), arguments.epochs[1])
    save(network, photographs.words, arguments.out)


if __name__ == "__main__":
    main()
