# SPDX-License-Identifier: Apache-2.0
"""Scores labels of the caller by their similarity to a picture, in the installed space."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import numpy as np

from imagier_server.errors import InvalidRequestError, ModelNotInstalledError
from imagier_server.messages import Picture, Tensors
from imagier_server.tasks.embedding.encoding import unit
from imagier_server.tasks.embedding.space import ImageSide, Space
from imagier_server.tasks.embedding.taught import Taught, unpacked
from imagier_server.tasks.embedding.text_vectors import vectors_of
from imagier_server.tasks.embedding.texts import is_blank
from imagier_server.tasks.embedding.values import Candidate, FoundCandidate, TaughtScore, Vectors
from imagier_server.tasks.task import Steps
from imagier_server.timings import Stage

MAX_CANDIDATES: Final = 1000
MAX_LABEL: Final = 200
MAX_PROMPTS: Final = 16
MAX_TEXTS: Final = 2000
"""Texts of all candidates together."""
MAX_PROMPT: Final = 1000
_KEPT: Final = 8192
"""Vectors of texts that are kept: 16 MB of 512 numbers."""


class ScoredCandidates:
    """The candidates of one server. The vectors of texts are kept by the texts' digest, the least recently used go first."""

    def __init__(self, space: Space | None = None, kept: int = _KEPT) -> None:
        self._space = space
        self._most = kept
        self._kept: OrderedDict[bytes, Vectors] = OrderedDict()

    async def found(
        self, candidates: Sequence[Candidate], picture: Picture, tagged: Tensors, most: int, steps: Steps
    ) -> tuple[FoundCandidate, ...]:
        """The `most` candidates that are most similar to the picture, best first. `tagged` is the tagger's answer.

        Raises `ModelNotInstalledError` without an embedder for pictures and texts.
        """
        space = self._space
        if space is None or space.image is None or space.text is None:
            raise ModelNotInstalledError("this server scores no candidates: its embedders are not installed")
        vector = await picture_vector(space, space.image, picture, tagged, steps)
        texts = tuple(dict.fromkeys(text for candidate in candidates for text in candidate.texts))
        vectors = await self._vectors(space, texts, steps)
        return await steps.compute(Stage.FINISH, ranked, candidates, vectors, vector, most)

    def labels(self, taught: Sequence[bytes], field: str) -> tuple[Taught, ...]:
        """The labels that a caller has taught. Raises `InvalidRequestError` for what is none of this space."""
        space = self._space
        if not taught or space is None:
            return ()
        info = space.info
        return tuple(
            unpacked(content, info.name, info.dimension, f"{field}[{place}]") for place, content in enumerate(taught)
        )

    async def taught(
        self, taught: Sequence[bytes], picture: Picture, tagged: Tensors, steps: Steps
    ) -> tuple[TaughtScore, ...]:
        """The score of each taught label. Raises `ModelNotInstalledError` without an embedder for pictures."""
        space = self._space
        if space is None or space.image is None:
            raise ModelNotInstalledError("this server scores no taught labels: its embedders are not installed")
        vector = await picture_vector(space, space.image, picture, tagged, steps)
        return tuple(TaughtScore(each.label, each.score(vector)) for each in self.labels(taught, "tags.taught"))

    async def _vectors(self, space: Space, texts: Sequence[str], steps: Steps) -> dict[str, Vectors]:
        """The vector of each text, kept or made."""
        assert space.text is not None, "looked at"
        digests = {text: hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest() for text in texts}
        found: dict[str, Vectors] = {}
        for text, digest in digests.items():
            if digest in self._kept:
                self._kept.move_to_end(digest)
                found[text] = self._kept[digest]
        missing = tuple(text for text in texts if text not in found)
        if missing:
            made, _ = await vectors_of(space, space.text, missing, steps)
            for text, row in zip(missing, made, strict=True):
                found[text] = self._kept[digests[text]] = row.copy()
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return found


async def picture_vector(space: Space, side: ImageSide, picture: Picture, tagged: Tensors, steps: Steps) -> Vectors:
    """The picture's vector: of what the tagger saw already, or of the network for pictures."""
    if not side.sees_tags:
        tagged = await steps.infer(side.model, await steps.compute(Stage.PREPARE, side.prepare, picture))
    found: Vectors = unit(side.finish(tagged), space.info.dimension)[0]
    return found


def ranked(
    candidates: Sequence[Candidate], vectors: dict[str, Vectors], vector: Vectors, most: int
) -> tuple[FoundCandidate, ...]:
    """The best candidates: each is the mean of its texts' vectors (Radford and others 2021, arXiv:2103.00020, section 3.1.4)."""
    means = np.stack([np.mean([vectors[text] for text in candidate.texts], axis=0) for candidate in candidates])
    lengths = np.maximum(np.linalg.norm(means, axis=1), 1e-12)
    similar = (means @ vector) / lengths
    best = np.argsort(-similar, kind="stable")[:most]
    return tuple(FoundCandidate(candidates[place].label, float(similar[place])) for place in best)


def check_candidates(candidates: Sequence[Candidate], field: str) -> None:
    """Raises `InvalidRequestError` that names the candidate at fault."""
    if len(candidates) > MAX_CANDIDATES:
        raise InvalidRequestError(f"more than {MAX_CANDIDATES} candidates are given", field=field)
    if sum(len(candidate.texts) for candidate in candidates) > MAX_TEXTS:
        raise InvalidRequestError(f"the candidates have more than {MAX_TEXTS} prompts in all", field=field)
    labels: set[str] = set()
    for place, candidate in enumerate(candidates):
        where = f"{field}[{place}]"
        if is_blank(candidate.label) or len(candidate.label) > MAX_LABEL:
            raise InvalidRequestError(f"a label has 1 to {MAX_LABEL} characters", field=f"{where}.label")
        if candidate.label in labels:
            raise InvalidRequestError("the label is there twice", field=f"{where}.label")
        labels.add(candidate.label)
        if len(candidate.prompts) > MAX_PROMPTS:
            raise InvalidRequestError(f"more than {MAX_PROMPTS} prompts are given", field=f"{where}.prompts")
        for number, prompt in enumerate(candidate.prompts):
            if is_blank(prompt) or len(prompt) > MAX_PROMPT:
                raise InvalidRequestError(
                    f"a prompt has 1 to {MAX_PROMPT} characters", field=f"{where}.prompts[{number}]"
                )
