# SPDX-License-Identifier: Apache-2.0
"""The client's values: frozen, slotted, all of them public, and those of the contract."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import imagier_client
import pytest
from imagier.v1 import annotator_pb2, caption_pb2, catalog_pb2, keywords_pb2, ocr_pb2, tags_pb2
from imagier_client import messages
from imagier_client.codec import decode_annotation, decode_catalog
from imagier_client.keywords import decode_keywords
from imagier_client.tasks import caption, ocr, shown, tags, task

OWN = [
    value
    for module in (messages, caption, ocr, shown, tags, task)
    for value in vars(module).values()
    if isinstance(value, type) and value.__module__ == module.__name__ and dataclasses.is_dataclass(value)
]


@pytest.mark.parametrize("value", OWN, ids=lambda value: value.__name__)
def test_values_are_frozen_slotted_and_public(value: type) -> None:
    assert value.__dataclass_params__.frozen
    assert "__slots__" in vars(value)
    assert value.__name__.startswith("_") or value.__name__ in imagier_client.__all__


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (tags.Tags, tags_pb2.TagsOptions),
        (ocr.Ocr, ocr_pb2.OcrOptions),
        (caption.Caption, caption_pb2.CaptionOptions),
        (caption.CaptionCandidate, caption_pb2.Caption),
        (tags.Tag, tags_pb2.Tag),
        (tags.TagParent, tags_pb2.TagParent),
        (ocr.TextLine, ocr_pb2.TextLine),
        (ocr.TextWord, ocr_pb2.TextWord),
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


def values() -> list[Any]:
    """An answer with all its parts, one of a failure, a catalogue, and meanings of keywords."""
    message = annotator_pb2.AnnotateResponse(width=3, height=4, cost=2, request_id="mine")
    tag = message.tags.tags.add(id="n1", score=0.5, names={"en": "cat", "fr": "chat"})
    tag.parents.add(id="n2", names={"en": "animal"})
    message.tags.models.add(name="tagger", version="1")
    line = message.ocr.lines.add(text="a line", confidence=1)
    line.polygon.add(x=1, y=2)
    line.words.add(text="a").normalized_polygon.add(x=0.5, y=0.5)
    message.caption.status.code, message.caption.status.message = 14, "no engine"
    message.timings.stages.add(task="tags", stage=3)
    catalog = catalog_pb2.GetCatalogResponse(
        tasks=[catalog_pb2.TaskInfo(name="tags", options=[catalog_pb2.OptionInfo(name="max_tags", minimum=1)])],
        models=[catalog_pb2.ModelInfo(name="tagger")],
    )
    keywords = keywords_pb2.MatchKeywordsResponse()
    keywords.matches.add(keyword="cat").meanings.add(id="n1", names={"en": "cat"})
    annotation = decode_annotation(message, ["fr"])
    assert annotation.caption is not None
    return [annotation, annotation.caption.error, decode_catalog(catalog), decode_keywords([keywords], ["en"])]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(
    "through",
    [copy.copy, copy.deepcopy, *(lambda value, p=p: pickle.loads(pickle.dumps(value, p)) for p in range(2, 6))],
)
def test_an_answer_is_a_value(number: int, through: Any) -> None:
    value = values()[number]
    again = through(value)
    assert again == value == values()[number]
    assert hash(again) == hash(value)
    if isinstance(value, messages.Annotation):
        assert again.message == value.message
        assert list(again.tags.tags[0].names) == ["fr", "en"]


def test_an_answer_becomes_dictionaries_and_json() -> None:
    annotation, _, catalog, keywords = values()
    made = dataclasses.asdict(annotation)
    assert made["results"]["tags"]["tags"][0]["names"] == {"fr": "chat", "en": "cat"}
    for value in (annotation.tags, annotation.ocr, annotation.timings, catalog, keywords):
        json.dumps(dataclasses.asdict(value))
    json.dumps(annotation.tags.tags[0].names)
