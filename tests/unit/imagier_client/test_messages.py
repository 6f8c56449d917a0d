# SPDX-License-Identifier: Apache-2.0
"""The client's values: frozen, slotted, all of them public, and those of the contract."""

from __future__ import annotations

import dataclasses

import imagier_client
import pytest
from imagier.v1 import catalog_pb2, tags_pb2, text_pb2
from imagier_client import messages

OWN = [
    value
    for value in vars(messages).values()
    if isinstance(value, type) and value.__module__ == messages.__name__ and dataclasses.is_dataclass(value)
]


@pytest.mark.parametrize("value", OWN, ids=lambda value: value.__name__)
def test_values_are_frozen_slotted_and_public(value: type) -> None:
    assert value.__dataclass_params__.frozen
    assert "__slots__" in vars(value)
    assert value.__name__.startswith("_") or value.__name__ in imagier_client.__all__


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (messages.TagsOptions, tags_pb2.TagsOptions),
        (messages.TextOptions, text_pb2.TextOptions),
        (messages.Tag, tags_pb2.Tag),
        (messages.TagParent, tags_pb2.TagParent),
        (messages.TextLine, text_pb2.TextLine),
        (messages.TextWord, text_pb2.TextWord),
        (messages.Limits, catalog_pb2.Limits),
        (messages.ModelInfo, catalog_pb2.ModelInfo),
        (messages.TaskInfo, catalog_pb2.TaskInfo),
        (messages.TaskLimit, catalog_pb2.TaskLimit),
        (messages.OptionInfo, catalog_pb2.OptionInfo),
        (messages.Catalog, catalog_pb2.GetCatalogResponse),
    ],
)
def test_a_field_added_to_the_contract_is_missed_here(value: type, message: type) -> None:
    assert {field.name for field in dataclasses.fields(value)} == set(message.DESCRIPTOR.fields_by_name)
