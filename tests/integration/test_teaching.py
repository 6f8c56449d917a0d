# SPDX-License-Identifier: Apache-2.0
"""Labels that a caller teaches: both clients and Connect, before a scripted Triton."""

from __future__ import annotations

from typing import Any

import grpc
import httpx2
import pytest
from imagier.v1 import embedding_pb2
from imagier_client import DifferentSpaceError, Embedding, InvalidRequestError, Tags, Vector, VectorSpace
from support import made_embedder
from support.both_clients import Kind
from support.running_gateway import Gateway, details, picture, status_of

SPACE = VectorSpace(made_embedder.NAME, made_embedder.DIMENSION)


def axis(place: int, space: VectorSpace = SPACE) -> Vector:
    return Vector(space, tuple(float(place == each) for each in range(space.dimension)))


async def test_a_taught_label_scores_pictures(running: Gateway, kind: Kind) -> None:
    async with kind(running.address) as client:
        vector = (await client.annotate(picture(), Embedding())).embedding.vector
        away = Vector(SPACE, tuple(-x for x in vector.values))
        label = await client.train_label("garden", [vector, vector, vector], [away, axis(1), axis(2)])
        other = await client.train_label("cellar", [away, away, away], [vector, axis(1), axis(2)])
        answer = await client.annotate(picture(), Tags(taught=(label.taught, other.taught)))
    garden, cellar = answer.tags.taught
    assert (garden.label, cellar.label, label.cost) == ("garden", "cellar", 1)
    assert garden.score > 0.5 > cellar.score


async def test_vectors_of_two_models_are_refused_before_they_are_sent(running: Gateway, kind: Kind) -> None:
    async with kind(running.address) as client:
        with pytest.raises(DifferentSpaceError):
            await client.train_label("garden", [axis(0), axis(1)], [axis(2), axis(3, VectorSpace("other", 8))])
        with pytest.raises(InvalidRequestError) as caught:
            await client.train_label(
                "garden", [axis(0, VectorSpace("other", 8))] * 2, [axis(1, VectorSpace("other", 8))] * 2
            )
    assert caught.value.field == "space"


def examples(**changed: Any) -> embedding_pb2.TrainLabelRequest:
    space = embedding_pb2.VectorSpace(name="made-8", dimension=8, distance="cosine")
    vectors = [embedding_pb2.Vector(values=axis(place).values) for place in range(4)]
    return embedding_pb2.TrainLabelRequest(
        **{"label": "garden", "space": space, "positives": vectors[:2], "negatives": vectors[2:]} | changed
    )


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (examples(label=" "), "label"),
        (examples(label="x" * 201), "label"),
        (examples(positives=[embedding_pb2.Vector(values=axis(0).values)]), "positives"),
        (examples(negatives=[]), "negatives"),
        (examples(negatives=[embedding_pb2.Vector(values=axis(0).values)] * 999), "positives"),
        (examples(negatives=[embedding_pb2.Vector(values=[1.0] * 7)] * 2), "negatives[0]"),
        (examples(negatives=[embedding_pb2.Vector(values=[0.0] * 8)] * 2), "negatives[0]"),
        (examples(negatives=[embedding_pb2.Vector(values=[float("nan")] * 8)] * 2), "negatives[0]"),
        (examples(negatives=[embedding_pb2.Vector(encoding=9, packed=b"12345678")] * 2), "negatives[0]"),
        (examples(negatives=[embedding_pb2.Vector(encoding=2, packed=b"123")] * 2), "negatives[0]"),
    ],
)
async def test_what_teaches_nothing_is_refused_by_its_field(
    running: Gateway, request_: embedding_pb2.TrainLabelRequest, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.TrainLabel(request_)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details(status_of(caught.value))["BadRequest"].field_violations[0].field == field


async def test_every_encoding_teaches(running: Gateway) -> None:
    packed = {2: bytes.fromhex("003c" + "0000" * 7), 3: bytes([127, *[0] * 7]), 4: b"\x80"}
    for encoding, content in packed.items():
        vector = embedding_pb2.Vector(encoding=encoding, packed=content)
        assert (await running.stub.TrainLabel(examples(positives=[vector] * 2))).taught


async def test_foreign_bytes_are_refused_by_their_place(running: Gateway, kind: Kind) -> None:
    async with kind(running.address) as client:
        for taught, field in (((b"IMTL\x01" + bytes(60),), "tags.taught[0]"), ((b"x",) * 101, "tags.taught")):
            with pytest.raises(InvalidRequestError) as caught:
                await client.annotate(picture(), Tags(taught=taught))
            assert caught.value.field == field


async def test_over_http_it_is_the_same(running: Gateway) -> None:
    vectors = [{"values": axis(place).values} for place in range(4)]
    space = {"name": "made-8", "dimension": 8, "distance": "cosine"}
    body = {"label": "garden", "space": space, "positives": vectors[:2], "negatives": vectors[2:]}
    async with httpx2.AsyncClient() as http:
        answer = await http.post(f"{running.http}/imagier.v1.AnnotatorService/TrainLabel", json=body)
        assert answer.status_code == 200
        query = {"tags.taught": answer.json()["taught"]}
        scored = await http.post(f"{running.http}/v1/annotate", params=query, content=picture())
    assert scored.json()["tags"]["taught"][0]["label"] == "garden"
