# SPDX-License-Identifier: Apache-2.0
"""The same caller with texts, labels and vectors: over gRPC, /v1 and every unary RPC of Connect, well formed and not."""

from __future__ import annotations

import json
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from imagier.v1 import (
    account_pb2,
    annotator_pb2,
    caption_pb2,
    catalog_pb2,
    embedding_pb2,
    keywords_pb2,
    tags_pb2,
)

from support.canary_visits import WORDS, Visit, marked
from support.fake_triton import refusing
from support.running_gateway import picture

JSON, BINARY = "application/json", "application/proto"
INVALID = grpc.StatusCode.INVALID_ARGUMENT
SPACE = embedding_pb2.VectorSpace(name="made-8", dimension=8, distance="cosine")
TEXTS = embedding_pb2.EmbedTextRequest(texts=[str(WORDS["query"]), "red car"])


def _examples(label: str = str(WORDS["label"]), **changed: Any) -> embedding_pb2.TrainLabelRequest:
    own = struct.unpack("<8f", bytes(WORDS["vector"]))
    positives = [embedding_pb2.Vector(values=own)] * 2
    negatives = [embedding_pb2.Vector(values=[-value for value in own])] * 2
    made = {"label": label, "space": SPACE, "positives": positives, "negatives": negatives}
    return embedding_pb2.TrainLabelRequest(**made | changed)


def _every_task(taught: bytes = b"", prompt: str = str(WORDS["prompt"])) -> annotator_pb2.AnnotateRequest:
    own = tags_pb2.Candidate(label=str(WORDS["label"]), prompts=[prompt])
    return annotator_pb2.AnnotateRequest(
        image=marked(picture()),
        request_id=str(WORDS["request id"]),
        tags=tags_pb2.TagsOptions(candidates=[own], taught=[taught] if taught else []),
        caption=caption_pb2.CaptionOptions(candidates=3),
        embedding=embedding_pb2.EmbeddingOptions(),
    )


async def texts(visit: Visit) -> None:
    word, embed = str(WORDS["query"]), visit.stub.EmbedText
    assert len((await embed(TEXTS, metadata=visit.keyed)).embeddings) == 2
    for message in (
        embedding_pb2.EmbedTextRequest(texts=[word * 1000]),
        embedding_pb2.EmbedTextRequest(texts=[word, " "]),
        embedding_pb2.EmbedTextRequest(texts=[word], languages=[word] * 17),
    ):
        assert await visit.refused(embed(message, metadata=visit.keyed)) is INVALID
    wrong = (("authorization", f"Bearer {WORDS['wrong key']}"),)
    assert await visit.refused(embed(TEXTS, metadata=wrong)) is grpc.StatusCode.UNAUTHENTICATED
    body = json.dumps({"texts": [word]}).encode()
    for content, status in (
        (body, 200),
        (body[:-1] + word.encode(), 400),
        (json.dumps({"texts": [word * 1000]}).encode(), 400),
        (json.dumps({"texts": word}).encode(), 400),
    ):
        assert await visit.post("/v1/embed-text", content, JSON) == status
    assert await visit.post("/v1/embed-text", body, JSON, str(WORDS["wrong key"])) == 401
    text = f"{WORDS['text of the engine']} {word}"
    for code in (grpc.StatusCode.INTERNAL, INVALID):
        visit.fake.behaviours["text_embedder"] = refusing(code, text)
        assert await visit.refused(embed(TEXTS, metadata=visit.keyed)) is not grpc.StatusCode.OK


async def labels(visit: Visit) -> None:
    """One is taught and looked for, with candidates and every task that reads no text."""
    train = visit.stub.TrainLabel
    taught = (await train(_examples(), metadata=visit.keyed)).taught
    answer = await visit.annotate(_every_task(taught))
    assert [each.label for each in (*answer.tags.candidates, *answer.tags.taught)] == [WORDS["label"]] * 2
    assert {answer.tags.status.code, answer.caption.status.code, answer.embedding.status.code} == {0}
    foreign = embedding_pb2.VectorSpace(name=str(WORDS["label"]), dimension=8, distance="cosine")
    for message in (_examples(str(WORDS["label"]) * 20), _examples(space=foreign), _examples(negatives=[])):
        assert await visit.refused(train(message, metadata=visit.keyed)) is INVALID
    damaged = taught[:-4] + bytes(WORDS["vector"])[:4]
    for message in (_every_task(damaged), _every_task(prompt=str(WORDS["prompt"]) * 100)):
        assert await visit.refused(visit.annotate(message)) is INVALID
    text = f"{WORDS['text of the engine']} {WORDS['description']}"
    for model in ("text_embedder", "captioner"):
        visit.fake.behaviours[model] = refusing(grpc.StatusCode.INTERNAL, text)
    answer = await visit.annotate(_every_task(prompt=f"{WORDS['prompt']} again"))
    assert answer.caption.status.code
    visit.told += [str(answer.caption.status), str(answer.tags.status)]


async def connect(visit: Visit) -> None:
    word, service = str(WORDS["keyword"]), "/imagier.v1.AnnotatorService/"
    calls: dict[str, Message] = {
        f"{service}Annotate": _every_task(),
        f"{service}GetCatalog": catalog_pb2.GetCatalogRequest(),
        f"{service}MatchKeywords": keywords_pb2.MatchKeywordsRequest(keywords=[word]),
        f"{service}EmbedText": TEXTS,
        f"{service}TrainLabel": _examples(),
        "/imagier.v1.AccountService/GetBalance": account_pb2.GetBalanceRequest(),
        "/imagier.v1.AccountService/ListUsage": account_pb2.ListUsageRequest(),
        "/imagier.v1.AccountService/QuoteAnnotate": account_pb2.QuoteAnnotateRequest(tasks=["tags"], pictures=1),
    }
    for path, message in calls.items():
        for body, kind in ((_json(message), JSON), (message.SerializeToString(), BINARY)):
            assert await visit.post(path, body, kind) == 200, path
            assert await visit.post(path, body, kind, str(WORDS["wrong key"])) == 401, path
            assert await visit.post(path, body + b"\xff" + word.encode(), kind) == 400, path
        assert await visit.post(path, json.dumps({word: 1}).encode(), JSON) == 400, path
    wrong: tuple[tuple[str, Message, int], ...] = (
        (f"{service}EmbedText", embedding_pb2.EmbedTextRequest(texts=[str(WORDS["query"]) * 1000]), 400),
        (f"{service}TrainLabel", _examples(str(WORDS["label"]) * 20), 400),
        (f"{service}MatchKeywords", keywords_pb2.MatchKeywordsRequest(keywords=[word * 100]), 400),
        (f"{service}AnnotateStream", _every_task(), 501),
        ("/imagier.v1.AccountService/GetBalance", account_pb2.GetBalanceRequest(tenant=word), 403),
        ("/imagier.v1.AccountService/ListUsage", account_pb2.ListUsageRequest(first_day=word), 400),
        ("/imagier.v1.AccountService/QuoteAnnotate", account_pb2.QuoteAnnotateRequest(tasks=[word]), 400),
    )
    for path, message, status in wrong:
        assert await visit.post(path, _json(message), JSON) == status, path


def _json(message: Message) -> bytes:
    return json.dumps(MessageToDict(message)).encode()


VECTOR_VISITS: tuple[Callable[[Visit], Awaitable[None]], ...] = (texts, labels, connect)
