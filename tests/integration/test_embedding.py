# SPDX-License-Identifier: Apache-2.0
"""Vectors of pictures and texts: both clients, gRPC, Connect and their errors, before a scripted Triton."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import httpx2
import numpy as np
import pytest
from imagier.v1 import annotator_pb2, embedding_pb2
from imagier_client import Candidate, Embedding, InvalidRequestError, Tags, UnsupportedError, ranked
from imagier_client.cli import main
from imagier_server.model_lock import LOCK_NAME, write_lock_text
from support import made_embedder
from support.both_clients import Kind
from support.fake_triton import FakeTriton, response, serving
from support.running_gateway import Gateway, details, gateway, picture, status_of
from support.scripted_models import LOCKED, TABBY

EMBED = "/imagier.v1.AnnotatorService/EmbedText"


async def test_a_picture_is_found_by_a_text_of_the_same_space(running: Gateway, kind: Kind) -> None:
    async with kind(running.address) as client:
        answer = await client.annotate(picture(), Embedding())
        texts = await client.embed_text(["cat", "red car"])
    vector = answer.embedding.vector
    assert vector.values == pytest.approx(made_embedder.concepts()[TABBY], abs=0.01)
    assert [model.name for model in answer.embedding.models] == ["tagger", "text_embedder"]
    assert (answer.embedding.cost, texts.cost, [model.name for model in texts.models]) == (1, 1, ["text_embedder"])
    assert vector.space == texts.vectors[0].space
    expected = made_embedder.embedded(np.array([[1, -1], [3, 4]]))
    assert np.array([each.values for each in texts.vectors]) == pytest.approx(expected)
    assert len(ranked(texts.vectors[0], {"picture": vector})) == 1


async def test_languages_are_told_apart_and_long_texts_marked(running: Gateway, fake: FakeTriton) -> None:
    request = embedding_pb2.EmbedTextRequest(texts=["cat", "cat " * 9], languages=["en", "tlh"])
    answer = await running.stub.EmbedText(request)
    assert [each.truncated for each in answer.embeddings] == [False, True]
    assert list(answer.unknown_languages) == ["en", "tlh"]  # the made model names none
    assert answer.space == embedding_pb2.VectorSpace(name="made-8", dimension=8, distance="cosine")


async def test_over_http_it_is_the_same(running: Gateway) -> None:
    async with httpx2.AsyncClient() as http:
        answer = await http.post(running.http + EMBED, json={"texts": ["cat"], "encoding": "VECTOR_ENCODING_INT8"})
        empty = await http.post(running.http + EMBED, json={"texts": ["cat", ""]})
    assert answer.status_code == 200
    assert len(answer.json()["embeddings"][0]["vector"]["packed"]) == 12
    assert (empty.status_code, empty.json()["code"]) == (400, "invalid_argument")


async def test_v1_takes_json_and_says_what_is_wrong_with_it(running: Gateway) -> None:
    url = f"{running.http}/v1/embed-text"
    async with httpx2.AsyncClient() as http:
        good = await http.post(url, json={"texts": ["red car"]})
        bad = [await http.post(url, json=body) for body in ({"texts": [" "]}, {"text": "cat"}, {"texts": "cat"}, [])]
        long = await http.post(url, json={"texts": ["c" * 65536]})
    assert good.status_code == 200
    assert good.json()["space"] == {"name": "made-8", "dimension": 8, "distance": "cosine"}
    assert len(good.json()["embeddings"][0]["vector"]["values"]) == 8
    assert [(answer.status_code, answer.json().get("field")) for answer in bad] == [
        (400, "texts[0]"),
        (400, "text"),
        (400, "texts"),
        (400, None),
    ]
    assert long.status_code in {400, 413}
    assert long.headers["content-type"].startswith("application/problem+json")


async def test_the_command_writes_a_line_for_each_text(running: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert await asyncio.to_thread(main, ["embed-text", "cat", "red car", "--server", running.address]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["text"], line["space"], len(line["vector"])) for line in lines] == [
        ("cat", "made-8", 8),
        ("red car", "made-8", 8),
    ]
    assert await asyncio.to_thread(main, ["embed-text", " ", "--server", running.address]) == 1
    assert "the text is empty (texts[0])" in capsys.readouterr().err


async def test_the_command_looks_for_labels_in_a_file(
    running: Gateway, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes(picture())
    (tmp_path / "own.txt").write_text("Rex\tdog\tred dog\ngarage\tcar house\n", "utf-8")
    own = ["--tags-candidates", str(tmp_path / "own.txt"), "--format", "jsonl", "--server", running.address]
    assert await asyncio.to_thread(main, ["annotate", str(tmp_path / "photo.jpg"), "--tasks", "tags", *own]) == 0
    found = json.loads(capsys.readouterr().out)["response"]["tags"]["candidates"]
    assert {each["label"] for each in found} == {"Rex", "garage"}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (embedding_pb2.EmbedTextRequest(), "texts"),
        (embedding_pb2.EmbedTextRequest(texts=["cat"] * 257), "texts"),
        (embedding_pb2.EmbedTextRequest(texts=["cat", " "]), "texts[1]"),
        (embedding_pb2.EmbedTextRequest(texts=["c" * 4001]), "texts[0]"),
        (embedding_pb2.EmbedTextRequest(texts=["cat"], languages=["en"] * 17), "languages"),
        (embedding_pb2.EmbedTextRequest(texts=["cat"], encoding=9), "encoding"),
    ],
)
async def test_what_is_no_text_is_refused_by_its_field(
    running: Gateway, fake: FakeTriton, request_: embedding_pb2.EmbedTextRequest, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.EmbedText(request_)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details(status_of(caught.value))["BadRequest"].field_violations[0].field == field
    assert not [each for each in fake.requests if each.model_name == "text_embedder"]


async def test_256_texts_of_64_kib_are_refused_before_they_are_parsed(running: Gateway) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.EmbedText(embedding_pb2.EmbedTextRequest(texts=["c" * 65536] * 256))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "send fewer words" in (caught.value.details() or "")


async def test_a_model_that_answers_no_unit_vectors_is_a_fault(running: Gateway, fake: FakeTriton) -> None:
    async def zeros(request: Any, context: Any) -> Any:
        return response(vector=np.zeros((1, 8), np.float32))

    fake.behaviours["text_embedder"] = zeros
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.EmbedText(embedding_pb2.EmbedTextRequest(texts=["cat"]))
    assert caught.value.code() is grpc.StatusCode.INTERNAL


async def test_without_the_model_both_say_so_for_good(
    repository: Path, fake: FakeTriton, unused_tcp_port: int, kind: Kind
) -> None:
    without = {role: model for role, model in LOCKED.items() if role != "text_embedder"}
    (repository / LOCK_NAME).write_text(write_lock_text(without), "utf-8")
    async with serving(fake) as port, gateway(repository, port, unused_tcp_port) as running:
        await running.until(ready=True)
        async with kind(running.address) as client:
            with pytest.raises(UnsupportedError) as caught:
                await client.embed_text(["cat"])
            answer = await client.annotate(picture(), Embedding())
    assert not caught.value.retryable
    assert isinstance(answer.embedding.error, UnsupportedError)


async def test_an_unknown_encoding_of_a_picture_names_its_field(running: Gateway) -> None:
    request = annotator_pb2.AnnotateRequest(image=picture(), embedding=embedding_pb2.EmbeddingOptions(encoding=9))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.stub.Annotate(request)
    assert details(status_of(caught.value))["BadRequest"].field_violations[0].field == "embedding.encoding"


async def test_a_client_refuses_before_it_asks(running: Gateway, kind: Kind) -> None:
    async with kind(running.address) as client:
        with pytest.raises(InvalidRequestError):
            await client.embed_text("cat")


async def test_own_labels_are_scored_beside_the_tags(running: Gateway, kind: Kind) -> None:
    own = [Candidate("Rex", ("dog", "red dog")), Candidate("garage", ("car house",)), Candidate("cat")]
    async with kind(running.address) as client:
        answer = await client.annotate(picture(), Tags(candidates=own, max_tags=2))
        with pytest.raises(InvalidRequestError) as caught:
            await client.annotate(picture(), Tags(candidates=[Candidate(str(number)) for number in range(1001)]))
    assert len(answer.tags.candidates) == 2
    assert answer.tags.tags
    assert {each.label for each in answer.tags.candidates} <= {each.label for each in own}
    assert caught.value.field == "tags.candidates"
