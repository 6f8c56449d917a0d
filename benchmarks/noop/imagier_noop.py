# SPDX-License-Identifier: Apache-2.0
"""A task that does nothing, for the benchmark of the front end only: what remains is the way of a picture.

It is no part of the product: the benchmark makes an entry point for it in a temporary folder, for one gateway of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from imagier.v1 import model_pb2  # noqa: F401 - the result's models are of this file
from imagier_server.messages import Picture
from imagier_server.tasks.options import Option
from imagier_server.tasks.task import LimitInfo, Steps
from imagier_server.transport.codecs.codec import TaskCodec

NAME = "noop"


def _messages() -> tuple[Any, Any]:
    """Message classes for options and result, which has the three fields that every result has."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="imagier_noop.proto",
        package="imagier_noop",
        syntax="proto3",
        dependency=["google/rpc/status.proto", "imagier/v1/model.proto"],
    )
    file.message_type.add(name="NoopOptions")
    result = file.message_type.add(name="NoopResult")
    for number, (name, label, kind, of) in enumerate(
        (
            ("status", field.LABEL_OPTIONAL, field.TYPE_MESSAGE, ".google.rpc.Status"),
            ("models", field.LABEL_REPEATED, field.TYPE_MESSAGE, ".imagier.v1.ModelReference"),
            ("cost", field.LABEL_OPTIONAL, field.TYPE_INT32, None),
        ),
        start=1,
    ):
        result.field.add(name=name, number=number, label=label, type=kind, type_name=of)
    pool = descriptor_pool.Default()
    pool.Add(file)
    return tuple(
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"imagier_noop.{name}"))
        for name in ("NoopOptions", "NoopResult")
    )


Options, Result = _messages()


@dataclass(frozen=True, slots=True)
class NoopOptions:
    """None."""

    characters: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class NoopTask:
    """Answers as soon as the picture is decoded, at the smallest size that the decoder makes of it."""

    name: ClassVar[str] = NAME
    models: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[bool] = False
    price: ClassVar[int] = 1
    objective_seconds: ClassVar[float] = 1.0
    languages: ClassVar[tuple[str, ...]] = ()
    scripts: ClassVar[tuple[str, ...]] = ()
    limits: ClassVar[tuple[LimitInfo, ...]] = ()
    options: ClassVar[tuple[Option, ...]] = ()

    @classmethod
    def load(cls, repository: Path) -> NoopTask:
        """Load nothing."""
        del repository
        return cls()

    def check(self, options: NoopOptions) -> None:
        """Nothing can be wrong."""

    def scale(self, width: int, height: int) -> float:
        """One pixel would do."""
        return 1 / min(width, height)

    async def run(self, picture: Picture, options: NoopOptions, languages: tuple[str, ...], steps: Steps) -> None:
        """Do nothing."""


CODEC = TaskCodec(NAME, Options, Result, lambda _message: NoopOptions(), lambda _result, _nothing, _size: None)
