# SPDX-License-Identifier: Apache-2.0
"""The embedding task: a picture as a vector, for search by words and by similar pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from imagier.v1 import embedding_pb2

from imagier_client.tasks.shown import Line, Section
from imagier_client.tasks.task import Task, TaskOptions, TaskResult
from imagier_client.tasks.wire import common
from imagier_client.vectors import Vector, encoding_number, read_space, read_vector


@dataclass(frozen=True, slots=True)
class EmbeddingResult(TaskResult):
    """The embedding task's answer: the picture's `vector`; None if it failed."""

    vector: Vector | None = None


@dataclass(frozen=True, slots=True)
class Embedding(TaskOptions[EmbeddingResult]):
    """Asks for the picture's vector, written as `encoding`: "float32", "float16", "int8" or "bits"."""

    task: ClassVar[str] = "embedding"
    encoding: str = "float32"


def write(message: embedding_pb2.EmbeddingOptions, options: Embedding) -> None:
    """Puts the options into the message. Raises InvalidRequestError."""
    message.encoding = encoding_number(options.encoding, "embedding.encoding")


def read(message: embedding_pb2.EmbeddingResult, languages: Sequence[str]) -> EmbeddingResult:
    """The message as a value. Raises ServerFaultError for a vector that cannot be read."""
    del languages
    shared = common(message)
    found = read_vector(message.vector, read_space(message.space)) if message.HasField("vector") else None
    return EmbeddingResult(**shared, vector=found)


def show(result: EmbeddingResult, languages: Sequence[str] | None) -> Section:
    """One line, such as: vector concept-512, 512 numbers."""
    del languages
    if result.vector is None:
        return Section("vector")
    space = result.vector.space
    return Section("vector", (Line((f"{space.name}, {space.dimension} numbers",)),))


TASK = Task(
    options=Embedding,
    options_message=embedding_pb2.EmbeddingOptions,
    result_message=embedding_pb2.EmbeddingResult,
    write=write,
    read=read,
    show=show,
)
