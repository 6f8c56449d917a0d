# SPDX-License-Identifier: Apache-2.0
"""The default captioner: EfficientNet-Lite2's last feature map, read by a small transformer that training/captioner.py trains."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from imagier_server.export.caption_search import SearchOptions
from imagier_server.export.catalogue import CATALOGUE
from imagier_server.export.errors import ExportError
from imagier_server.export.fetch import fetch
from imagier_server.model_lock import ModelLockError
from imagier_server.tasks.caption.task import CaptionerAssets

SIDE = 224
CELLS = (SIDE // 32) ** 2
CHANNELS = 1280
LENGTH = 22
"""Maximum tokens of a caption, end included."""
PAD, START, END, UNKNOWN = range(4)
NEVER = -1e9
SPECIALS = ("<pad>", "<start>", "<end>", "<unk>")


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the decoder; `length` is as LENGTH."""

    words: int
    width: int = 256
    heads: int = 4
    encoder_layers: int = 1
    decoder_layers: int = 3
    length: int = LENGTH


SEARCH = SearchOptions(END, PAD, max_tokens=LENGTH, beams=3, candidates=3, length_penalty=0.8)


class Attention(nn.Module):
    """Multi-head attention with separate projections, so that keys and values can be cached."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def split(self, x: Tensor) -> Tensor:
        """[rows, length, width] → [rows, heads, length, width / heads]."""
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)

    def attend(
        self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """Attend from `x` [rows, length, width] to `keys` and `values` [rows, heads, n, width / heads]."""
        seen = functional.scaled_dot_product_attention(
            self.split(self.query(x)), keys, values, attn_mask=mask, is_causal=causal
        )
        answer: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return answer


class EncoderLayer(nn.Module):
    """A pre-norm transformer layer: self-attention, then feed-forward."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.norm_own, self.own = nn.LayerNorm(shape.width), Attention(shape.width, shape.heads)
        self.norm_wide = nn.LayerNorm(shape.width)
        self.wide = nn.Sequential(
            nn.Linear(shape.width, 4 * shape.width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(4 * shape.width, shape.width),
        )
        self.dropout = nn.Dropout(dropout)


class DecoderLayer(EncoderLayer):
    """A transformer layer with cross-attention to the picture between the two."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__(shape, dropout)
        self.norm_picture, self.picture = nn.LayerNorm(shape.width), Attention(shape.width, shape.heads)


class FlickrDecoder(nn.Module):
    """A decoder from picture features and previous words to scores of the next word.

    Vaswani et al., "Attention Is All You Need" (2017, arXiv:1706.03762), layer norm first, word embeddings tied to the output.
    """

    sayable: Tensor

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.norm_features = nn.LayerNorm(CHANNELS)
        self.narrow = nn.Linear(CHANNELS, shape.width)
        self.places = nn.Parameter(torch.randn(CELLS, shape.width) * 0.02)
        self.encoder = nn.ModuleList(EncoderLayer(shape, dropout) for _ in range(shape.encoder_layers))
        self.norm_picture = nn.LayerNorm(shape.width)
        self.words = nn.Embedding(shape.words, shape.width)
        nn.init.normal_(self.words.weight, std=shape.width**-0.5)
        self.positions = nn.Parameter(torch.randn(shape.length, shape.width) * 0.02)
        self.decoder = nn.ModuleList(DecoderLayer(shape, dropout) for _ in range(shape.decoder_layers))
        self.norm_words = nn.LayerNorm(shape.width)
        self.dropout = nn.Dropout(dropout)
        # Never predict padding, the start or an unknown word.
        sayable = torch.arange(shape.words) > UNKNOWN
        sayable[END] = True
        self.register_buffer("sayable", sayable, persistent=False)

    def look(self, features: Tensor) -> list[Tensor]:
        """[pictures, CELLS, CHANNELS] → keys, values, keys… of the decoder layers, [pictures, heads, CELLS, width / heads]."""
        x = self.dropout(self.narrow(self.norm_features(features)) + self.places)
        for layer in cast("Iterable[EncoderLayer]", self.encoder):
            inner = layer.norm_own(x)
            keys, values = layer.own.split(layer.own.key(inner)), layer.own.split(layer.own.value(inner))
            x = x + layer.dropout(layer.own.attend(inner, keys, values))
            x = x + layer.dropout(layer.wide(layer.norm_wide(x)))
        x = self.norm_picture(x)
        return [
            layer.picture.split(projection(x))
            for layer in self._decoder_layers()
            for projection in (layer.picture.key, layer.picture.value)
        ]

    def forward(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Teacher forcing: `tokens` [pictures, captions, length] from START on → hidden states of the same shape and width."""
        pictures, captions, length = tokens.shape
        x = self.embed(tokens.flatten(0, 1)) + self.positions[:length]
        x = self.dropout(x)
        memory = self.look(features)
        for layer, keys, values in zip(self._decoder_layers(), memory[::2], memory[1::2], strict=True):
            inner = layer.norm_own(x)
            own = layer.own
            x = x + layer.dropout(
                own.attend(inner, own.split(own.key(inner)), own.split(own.value(inner)), causal=True)
            )
            # All captions of a picture form one row of queries, so that its keys are not repeated.
            inner = layer.norm_picture(x).view(pictures, captions * length, -1)
            x = x + layer.dropout(layer.picture.attend(inner, keys, values).view(x.shape))
            x = x + layer.dropout(layer.wide(layer.norm_wide(x)))
        hidden: Tensor = self.norm_words(x)
        return hidden.view(pictures, captions, length, -1)

    def _decoder_layers(self) -> Iterable[DecoderLayer]:
        return cast("Iterable[DecoderLayer]", self.decoder)

    def embed(self, tokens: Tensor) -> Tensor:
        """Word embeddings, scaled because they are tied to the output."""
        words: Tensor = self.words(tokens)
        return words * math.sqrt(self.shape.width)

    def score(self, hidden: Tensor) -> Tensor:
        """Hidden states [..., width] → scores [..., words], not normalised."""
        scores: Tensor = functional.linear(hidden, self.words.weight)
        return scores

    def begin(self, memory: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Scores [pictures, words] of the first word, and caches [pictures, heads, length, width / heads] that hold START."""
        pictures, heads, _, deep = memory[0].shape
        room = memory[0].new_zeros(pictures, 1, heads, self.shape.length, deep)
        start = torch.full((pictures, 1), START)
        scores, caches = self.step(start, torch.tensor(-1), memory, [room] * (2 * len(self.decoder)))
        return scores[:, 0], [cache[:, 0] for cache in caches]

    def step(
        self, tokens: Tensor, position: Tensor, memory: Sequence[Tensor], caches: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Scores [pictures, beams, words] of what follows `tokens` [pictures, beams], and the caches with these written.

        `position`, INT64 [], is 0 for the word after START. Caches are [pictures, beams, heads, length, width / heads].
        """
        places = torch.arange(self.shape.length)
        now, past = (places == position + 1)[:, None], (places <= position + 1)[None]
        x = (self.embed(tokens) + self.positions[position + 1]).flatten(0, 1)[:, None]
        written: list[Tensor] = []
        for index, layer in enumerate(self._decoder_layers()):
            inner = layer.norm_own(x)
            for projection, cache in zip((layer.own.key, layer.own.value), caches[2 * index :], strict=False):
                new = layer.own.split(projection(inner)).view(*tokens.shape, self.shape.heads, 1, -1)
                written.append(torch.where(now, new, cache))
            keys, values = (cache.flatten(0, 1) for cache in written[-2:])
            x = x + layer.own.attend(inner, keys, values, past)
            # All beams form one row of queries, so that the picture's keys are not repeated.
            inner = layer.norm_picture(x).view(*tokens.shape, -1)
            x = x + layer.picture.attend(inner, memory[2 * index], memory[2 * index + 1]).view(x.shape)
            x = x + layer.wide(layer.norm_wide(x))
        scores = self.score(self.norm_words(x)).view(*tokens.shape, -1)
        return torch.where(self.sayable, scores, NEVER), written


class FlickrCaptioner(nn.Module):
    """The decoder with its backbone as a `caption_search.Decoder`, from pixels on."""

    def __init__(self, backbone: EfficientNet, decoder: FlickrDecoder) -> None:
        super().__init__()
        self.backbone, self.decoder = backbone, decoder
        self.begin, self.step = decoder.begin, decoder.step

    def look(self, pixels: Tensor) -> list[Tensor]:
        """UINT8 [pictures, SIDE, SIDE, 3] RGB → the decoder's memory."""
        return self.decoder.look(features(self.backbone, pixels))


def load(weights: Path) -> FlickrCaptioner:
    """Load the captioner from the decoder's `weights` (safetensors) and the tagger's backbone. Raises `ExportError`."""
    state = {name: weight.float() for name, weight in load_file(weights).items()}
    decoder = FlickrDecoder(Shape(words=len(state["words.weight"])))
    decoder.load_state_dict(state)
    return FlickrCaptioner(load_backbone(), decoder).eval()


def assets_of(weights: Path, words: int) -> dict[str, bytes]:
    """The assets beside a decoder's `weights`, by file name.

    Raises `ExportError` if the server could not read it, or if the tokenizer is not one of so many `words`.
    """
    try:
        tokenizer = CaptionerAssets.load(weights.parent).tokenizer
    except ModelLockError as error:
        raise ExportError(f"captioner.json or tokenizer.json beside {weights.name} is damaged or missing") from error
    specials = tuple(tokenizer.id_to_token(token) for token in range(len(SPECIALS)))
    if (tokenizer.get_vocab_size(), specials) != (words, SPECIALS):
        raise ExportError(f"tokenizer.json beside {weights.name} has not the {words} words of these weights")
    return {name: (weights.parent / name).read_bytes() for name in ("captioner.json", "tokenizer.json")}


def load_backbone() -> EfficientNet:
    """EfficientNet-Lite2 with the weights that the tagger has. Raises `ExportError`."""
    # Padding depends on the picture's side: with the tagger's 260 it would be off-centre at 224.
    backbone = EfficientNet.from_name("efficientnet-lite2", image_size=SIDE)
    source = CATALOGUE["tagger"].source
    backbone.load_state_dict(torch.load(fetch(source, Path()), map_location="cpu", weights_only=True))
    return backbone.eval()


def features(backbone: EfficientNet, pixels: Tensor) -> Tensor:
    """UINT8 `pixels` [pictures, SIDE, SIDE, 3] RGB → the last feature map of EfficientNet-Lite2, [pictures, CELLS, CHANNELS].

    Normalised to -1..1 as for the tagger: these weights read that better than ImageNet's mean and deviation.
    """
    normalised = (pixels.permute(0, 3, 1, 2).to(torch.float32) - 127.5) / 127.5
    seen: Tensor = backbone.extract_features(normalised)
    return seen.flatten(2).transpose(1, 2)
