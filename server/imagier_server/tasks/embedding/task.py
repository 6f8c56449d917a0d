# SPDX-License-Identifier: Apache-2.0
"""The embedding task: a picture as a vector of the installed space."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from imagier_server.errors import InvalidRequestError
from imagier_server.messages import Picture, Tensors
from imagier_server.model_lock import read_lock
from imagier_server.tasks.embedding.concepts import Concepts
from imagier_server.tasks.embedding.encoding import encoded, unit
from imagier_server.tasks.embedding.space import IMAGE_EMBEDDER, TEXT_EMBEDDER, Network, Space
from imagier_server.tasks.embedding.values import NAME, Embedding, EmbeddingOptions, Encoding
from imagier_server.tasks.options import Option
from imagier_server.tasks.tags.crops import MODEL as TAGGER
from imagier_server.tasks.task import LimitInfo, Steps
from imagier_server.timings import Stage


@dataclass(frozen=True, slots=True)
class EmbeddingTask:
    """Turns pictures into vectors. `space` is None while no embedder is installed."""

    name: ClassVar[str] = NAME
    models: ClassVar[tuple[str, ...]] = (TEXT_EMBEDDER,)
    optional: ClassVar[bool] = True
    price: ClassVar[int] = 1
    objective_seconds: ClassVar[float] = 1.0
    scripts: ClassVar[tuple[str, ...]] = ()
    limits: ClassVar[tuple[LimitInfo, ...]] = ()
    options: ClassVar[tuple[Option, ...]] = (Option("encoding", "VECTOR_ENCODING_FLOAT32"),)

    space: Space | None = None
    languages: tuple[str, ...] = ()

    @classmethod
    def load(cls, repository: Path) -> EmbeddingTask:
        """Load the installed space, if there is one. Raises `ModelLockError`."""
        installed = read_lock(repository)
        space = Space.of_repository(repository)
        languages = installed[TEXT_EMBEDDER].languages if TEXT_EMBEDDER in installed else ()
        match space.image if space else None:
            case Concepts():
                return ConceptTask(space, languages)
            case Network():
                return NetworkTask(space, languages)
            case _:
                return cls(space, languages)

    def check(self, options: EmbeddingOptions) -> None:
        """Raises `InvalidRequestError`."""
        check_encoding(options.encoding, f"{self.name}.encoding")

    def scale(self, width: int, height: int) -> float:
        """The scale that the model's input needs."""
        return self.space.image.scale(width, height) if self.space and self.space.image else 1 / min(width, height)

    async def run(
        self, picture: Picture, options: EmbeddingOptions, languages: tuple[str, ...], steps: Steps
    ) -> Embedding:
        """One inference of one row, or of several for a panorama."""
        del languages
        assert self.space, "the pipeline runs no task without its models"
        assert self.space.image
        assert options.encoding, "checked"
        side = self.space.image
        inputs = await steps.compute(Stage.PREPARE, side.prepare, picture)
        outputs = await steps.infer(side.model, inputs)
        return await steps.compute(Stage.FINISH, finish, self.space, outputs, options.encoding)


class ConceptTask(EmbeddingTask):
    """Turns what the tagger sees into vectors, in the words of the texts' model."""

    __slots__ = ()
    models: ClassVar[tuple[str, ...]] = (TAGGER, TEXT_EMBEDDER)


class NetworkTask(EmbeddingTask):
    """Turns pictures into vectors by a network of their own."""

    __slots__ = ()
    models: ClassVar[tuple[str, ...]] = (IMAGE_EMBEDDER,)


def finish(space: Space, outputs: Tensors, encoding: Encoding) -> Embedding:
    """The picture's vector from the outputs of its model. Raises `InternalError` if it is none of the space's."""
    assert space.image is not None, "the pipeline runs no task without its models"
    vectors = unit(space.image.finish(outputs), space.info.dimension)
    return Embedding(space.info, encoded(vectors, encoding)[0])


def check_encoding(encoding: Encoding | None, field: str) -> None:
    """Raises `InvalidRequestError` for an encoding that this server does not know."""
    if encoding is None:
        raise InvalidRequestError("this server has no such encoding: see the contract", field=field)
