# SPDX-License-Identifier: Apache-2.0
"""What a caption written in training is worth: CIDEr against its picture's references, and ends that people would write."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

LENGTHS = 4
"""n-grams of one to four tokens."""
SIGMA = 6.0
"""Tokens by which a caption may be longer or shorter than its references before that costs much."""

Gram = tuple[int, ...]


class Rewards:
    """CIDEr-D (Vedantam et al. 2015, arXiv:1411.5726) of token ids, rarity counted once over all `references`.

    `references` holds for each picture its captions. Every caption ends with its end token, which takes part as a word does: one
    that breaks off ("a man in a") is worth less.
    """

    def __init__(self, references: Sequence[Sequence[Sequence[int]]]) -> None:
        counts = [[grams(caption) for caption in captions] for captions in references]
        seen = Counter(gram for captions in counts for gram in set().union(*captions))
        self._rarity = {gram: math.log(len(references) / count) for gram, count in seen.items()}
        self._unseen = math.log(len(references))
        self._references = [
            [(self._vectors(count), len(caption)) for count, caption in zip(*pair, strict=True)]
            for pair in zip(counts, references, strict=True)
        ]

    def of(self, caption: Sequence[int], picture: int) -> float:
        """0 to 10: 10 for a caption that all references repeat."""
        vectors = self._vectors(grams(caption))
        total = 0.0
        for reference, length in self._references[picture]:
            alike = sum(_cosine(ours, theirs) for ours, theirs in zip(vectors, reference, strict=True)) / LENGTHS
            total += alike * math.exp(-((len(caption) - length) ** 2) / (2 * SIGMA**2))
        return 10 * total / len(self._references[picture])

    def _vectors(self, counts: Mapping[Gram, int]) -> list[tuple[dict[Gram, float], float]]:
        """For each length the weights of its n-grams, and their norm."""
        vectors: list[dict[Gram, float]] = [{} for _ in range(LENGTHS)]
        for gram, count in counts.items():
            vectors[len(gram) - 1][gram] = count * self._rarity.get(gram, self._unseen)
        return [(vector, math.sqrt(sum(weight * weight for weight in vector.values()))) for vector in vectors]


def grams(caption: Sequence[int]) -> Counter[Gram]:
    """How often each n-gram stands in a caption."""
    return Counter(
        tuple(caption[start : start + length])
        for length in range(1, LENGTHS + 1)
        for start in range(len(caption) - length + 1)
    )


def _cosine(ours: tuple[dict[Gram, float], float], theirs: tuple[dict[Gram, float], float]) -> float:
    """Clipped: what is said more often than in the reference counts no more."""
    (our_weights, our_norm), (their_weights, their_norm) = ours, theirs
    if not our_norm or not their_norm:
        return 0.0
    both = our_weights.keys() & their_weights.keys()
    product = sum(min(our_weights[gram], their_weights[gram]) * their_weights[gram] for gram in both)
    return product / (our_norm * their_norm)
