# SPDX-License-Identifier: Apache-2.0
"""A transformer decoder with cross-attention to the picture, run one token at a time for all beams at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


@dataclass(frozen=True, slots=True)
class Attention:
    """The linear layers of one attention, and the layer norm behind its residual."""

    query: nn.Module
    key: nn.Module
    value: nn.Module
    out: nn.Module
    norm: nn.Module


@dataclass(frozen=True, slots=True)
class Layer:
    """A post-norm layer: self-attention, cross-attention to the picture, then the feed-forward `wide` with residual and norm."""

    own: Attention
    picture: Attention
    wide: Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a transformers network that the decoder needs. N pictures, K beams, D the width, V words.

    `encode`: FP32 pixels [N, 3, S, S], normalised → the picture's features, [N, P, D']. `embed`: tokens [N, K] and their place
    [1], 0 for the first → [N, K, D]. `head`: [N, K, D] → logits [N, K, V]. `start`: the tokens that precede every caption.
    `mean` and `deviation` are those of red, green and blue in 0..1 that the network was trained with.
    """

    encode: Callable[[Tensor], Tensor]
    embed: Callable[[Tensor, Tensor], Tensor]
    layers: Sequence[Layer]
    head: Callable[[Tensor], Tensor]
    start: Sequence[int]
    heads: int
    mean: Sequence[float]
    deviation: Sequence[float]


class CrossDecoder(nn.Module):
    """A `caption_search.Decoder` from the `parts` of `network`, for captions of at most `max_tokens`.

    Vaswani et al., "Attention Is All You Need" (2017, arXiv:1706.03762). The memory is each layer's keys and values of the picture,
    [N, heads, P, D / heads]; the caches are those of the tokens, [N, K, heads, places, D / heads].
    """

    def __init__(self, network: nn.Module, parts: Parts, max_tokens: int) -> None:
        super().__init__()
        self.network = network
        self.parts = parts
        self.places = len(parts.start) + max_tokens - 1

    def look(self, pixels: Tensor) -> list[Tensor]:
        """Pixels [N, S, S, 3] → the memory."""
        mean, deviation = (255 * torch.tensor(colours) for colours in (self.parts.mean, self.parts.deviation))
        seen = self.parts.encode(((pixels.to(torch.float32) - mean) / deviation).permute(0, 3, 1, 2))
        return [
            projection(seen).unflatten(-1, (self.parts.heads, -1)).transpose(1, 2)
            for layer in self.parts.layers
            for projection in (layer.picture.key, layer.picture.value)
        ]

    def begin(self, memory: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """Logits [N, V] after the start, and the caches [N, heads, places, D / heads] with it."""
        pictures, heads, _, deep = memory[0].shape
        caches: Sequence[Tensor] = [torch.zeros(pictures, 1, heads, self.places, deep)] * len(memory)
        for place, token in enumerate(self.parts.start):
            logits, caches = self._read(torch.full((pictures, 1), token), torch.tensor([place]), memory, caches)
        return logits[:, 0], [cache[:, 0] for cache in caches]

    def step(
        self, tokens: Tensor, position: Tensor, memory: Sequence[Tensor], caches: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """Logits [N, K, V] after `tokens` [N, K], and the caches with these."""
        return self._read(tokens, position + len(self.parts.start), memory, caches)

    def _read(
        self, tokens: Tensor, place: Tensor, memory: Sequence[Tensor], caches: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Tensor]]:
        places = torch.arange(self.places)
        here, seen = (places == place)[:, None], (places <= place)[None]
        x = self.parts.embed(tokens, place)
        written: list[Tensor] = []
        for index, layer in enumerate(self.parts.layers):
            # Self-attention has a row per beam; in cross-attention a picture's beams are its queries.
            query, key, value = (
                projection(x).unflatten(-1, (self.parts.heads, 1, -1))
                for projection in (layer.own.query, layer.own.key, layer.own.value)
            )
            keys, values = (
                torch.where(here, new, cache)
                for new, cache in zip((key, value), caches[2 * index : 2 * index + 2], strict=True)
            )
            written += [keys, values]
            query, keys, values = (tensor.flatten(0, 1) for tensor in (query, keys, values))
            x = _joined(x, scaled_dot_product_attention(query, keys, values, attn_mask=seen), layer.own)
            query = layer.picture.query(x).unflatten(-1, (self.parts.heads, -1)).transpose(1, 2)
            looked = scaled_dot_product_attention(query, memory[2 * index], memory[2 * index + 1])
            x = layer.wide(_joined(x, looked.transpose(1, 2), layer.picture))
        return self.parts.head(x), written


def _joined(x: Tensor, heads: Tensor, attention: Attention) -> Tensor:
    """`x` plus the heads' output, in any shape with the same element order."""
    answer: Tensor = attention.norm(x + attention.out(heads.reshape(x.shape)))
    return answer
