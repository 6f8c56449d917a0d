# SPDX-License-Identifier: Apache-2.0
"""GetCatalog's message has everything that the catalogue has."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from imagier_server.catalogue import Catalogue, ModelInfo, ServerLimits, TaskInfo
from imagier_server.tasks.options import Option
from imagier_server.tasks.task import LimitInfo
from imagier_server.transport.catalog import to_catalog

CATALOGUE = Catalogue(
    server_version="1",
    tasks=(
        TaskInfo(
            name="tags",
            models=("tagger",),
            languages=("en",),
            scripts=("Latn",),
            price=2,
            options=(Option("max_tags", "8", 1, 50), Option("allow", "[]")),
            limits=(LimitInfo("height_pixels", 8.0, "of a line"),),
            ready=True,
        ),
    ),
    models=(ModelInfo("tagger", "a-net 1.0", "Apache-2.0", "example.org", True, "00", False),),
    limits=ServerLimits(5, 6, 7, 8, 9),
    formats=("image/png",),
)
NAMES = {"licence": "license", "default": "default_value"}


def same(value: Any, message: Any) -> None:
    if is_dataclass(value):
        for field in fields(value):
            name = NAMES.get(field.name, field.name)
            inner = getattr(value, field.name)
            if inner is None:
                assert not message.HasField(name), name
            else:
                same(inner, getattr(message, name))
    elif isinstance(value, tuple):
        assert len(value) == len(message)
        for one, other in zip(value, message, strict=True):
            same(one, other)
    else:
        assert value == message


def test_every_value_is_rendered() -> None:
    same(CATALOGUE, to_catalog(CATALOGUE))
