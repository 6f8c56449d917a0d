# SPDX-License-Identifier: Apache-2.0
"""Keywords: the command and both clients before a scripted server, and the gateway's own answers over real gRPC."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from imagier.v1 import annotator_pb2, keywords_pb2, tags_pb2
from imagier_client import AsyncClient, Client, InvalidRequestError, RetryPolicy, UnavailableError
from imagier_client.cli import main
from support.running_gateway import Gateway, details, picture, status_of
from support.scripted_annotator import NO_ENGINE, Scripted, refuse, serving, status

TOO_LONG = status(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", field="keywords[1]")


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
async def server(script: Scripted) -> AsyncIterator[str]:
    async with serving(script) as address:
        yield address


async def run(*arguments: str | Path) -> int:
    return await asyncio.to_thread(main, ["keywords", *map(str, arguments)])


async def test_the_command_writes_what_each_keyword_means(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keywords.txt"
    file.write_text("cat\nholiday\n", encoding="utf-8")
    assert await run(file, "--server", server, "--languages", "fr,tlh") == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "keyword\tmatch\tid\tfr\ten",
        "cat\tname\tn02121620\tchat\tcat",
        "holiday\tnone\t\t\t",
    ]
    assert "no names in tlh; English stands in" in captured.err
    assert await run(file, "--server", server, "--format", "jsonl") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["keyword"], len(line["meanings"])) for line in lines] == [("cat", 1), ("holiday", 0)]


async def test_the_command_says_what_the_keywords_are_written_in(script: Scripted, server: str, tmp_path: Path) -> None:
    (tmp_path / "keywords.txt").write_text("cat\n")
    assert await run(tmp_path / "keywords.txt", "--server", server, "--written-in", "en,zh") == 0
    assert list(script.keywords[0].keyword_languages) == ["en", "zh"]


async def test_a_file_that_is_not_there_is_wrong_usage(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(tmp_path / "none.txt", "--server", server) == 2
    assert "No such file" in capsys.readouterr().err


async def test_a_refusal_names_the_field(
    script: Scripted, server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refused(_request: Any, context: Any) -> Any:
        await refuse(context, TOO_LONG)

    script.match = refused
    (tmp_path / "keywords.txt").write_text("cat\n")
    assert await run(tmp_path / "keywords.txt", "--server", server) == 1
    assert "keywords[1]" in capsys.readouterr().err


async def test_a_server_that_cannot_be_reached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "keywords.txt").write_text("")
    assert await run(tmp_path / "keywords.txt", "--server", "127.0.0.1:1") == 0, "nothing to ask"
    assert capsys.readouterr().out == "keyword\tmatch\tid\ten\n"


async def test_both_clients_ask_in_batches_and_try_again(script: Scripted, server: str) -> None:
    keywords = [*("x" for _ in range(5000)), "cat"]
    async with AsyncClient(server) as client:
        answer = await client.match_keywords(keywords, languages=["fr"])
    assert [len(request.keywords) for request in script.keywords] == [5000, 1]
    assert [match.keyword for match in answer.matches] == keywords
    assert answer.matches[-1].meanings[0].name == "chat"
    with Client(server) as blocking:
        assert await asyncio.to_thread(blocking.match_keywords, keywords, languages=["fr"]) == answer


async def test_both_clients_raise_what_the_server_says(script: Scripted, server: str) -> None:
    refusals = [TOO_LONG, NO_ENGINE]

    async def refused(_request: Any, context: Any) -> Any:
        await refuse(context, refusals[0])

    script.match = refused
    for error in (InvalidRequestError, UnavailableError):
        async with AsyncClient(server, retry=RetryPolicy(max_attempts=1)) as client:
            with pytest.raises(error):
                await client.match_keywords(["cat"])
        with Client(server, retry=RetryPolicy(max_attempts=1)) as blocking, pytest.raises(error):
            await asyncio.to_thread(blocking.match_keywords, ["cat"])
        refusals.pop(0)


async def test_the_gateway_says_what_a_librarys_keywords_mean(running: Gateway) -> None:
    request = keywords_pb2.MatchKeywordsRequest(
        keywords=["Animals|Dogs", "kitty", "crane", "Birds/Cranes", "holiday"], languages=["fr", "zh", "tlh"]
    )
    answer = await running.stub.MatchKeywords(request)
    assert [match.keyword for match in answer.matches] == list(request.keywords)
    meant = [{meaning.names["fr"]: meaning.kind for meaning in match.meanings} for match in answer.matches]
    assert meant == [
        {"chien": keywords_pb2.MATCH_KIND_VARIANT},
        {"chat": keywords_pb2.MATCH_KIND_SYNONYM},
        {"grue": keywords_pb2.MATCH_KIND_NAME, "grue de chantier": keywords_pb2.MATCH_KIND_SYNONYM},
        {"grue": keywords_pb2.MATCH_KIND_VARIANT},
        {},
    ]
    dog = answer.matches[0].meanings[0]
    assert (dog.id, dict(dog.names)) == ("n02084071", {"fr": "chien", "zh": "狗", "en": "dog"})
    assert [parent.names["fr"] for parent in dog.parents] == ["animal"]
    assert answer.unknown_languages == ["tlh"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (keywords_pb2.MatchKeywordsRequest(keywords=["x"] * 5001), "keywords"),
        (keywords_pb2.MatchKeywordsRequest(keywords=["x", "y" * 1001]), "keywords[1]"),
        (keywords_pb2.MatchKeywordsRequest(keywords=["x"], languages=["en"] * 17), "languages"),
        (keywords_pb2.MatchKeywordsRequest(keywords=["x"], keyword_languages=["en"] * 17), "keyword_languages"),
    ],
    ids=["too many", "too long", "languages", "keyword languages"],
)
async def test_the_gateway_refuses_what_is_too_much_by_field(
    running: Gateway, request_: keywords_pb2.MatchKeywordsRequest, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await running.stub.MatchKeywords(request_)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = details(status_of(raised.value))["BadRequest"].field_violations
    assert violation.field == field
    assert "yyy" not in violation.description


async def test_five_thousand_keywords_fit_in_one_call(running: Gateway) -> None:
    request = keywords_pb2.MatchKeywordsRequest(keywords=["Animals|Dogs"] * 5000, languages=["en", "fr", "zh"])
    answer = await running.stub.MatchKeywords(request)
    assert {match.meanings[0].id for match in answer.matches} == {"n02084071"}
    assert len(answer.matches) == 5000


async def test_a_librarys_keywords_serve_as_lists(running: Gateway) -> None:
    """The scripted tagger sees a tabby everywhere."""

    async def named(**lists: list[str]) -> list[str]:
        request = annotator_pb2.AnnotateRequest(image=picture(), tags=tags_pb2.TagsOptions(**lists))
        return [tag.names["en"] for tag in (await running.stub.Annotate(request)).tags.tags]

    assert await named() == ["cat", "tabby cat"]
    assert await named(existing_tags=["Nature|Animals|Cats"]) == ["tabby cat"]
    assert await named(existing_tags=["Chats", "tabbies"]) == []
    assert await named(deny=["kitties"]) == ["animal"]
    assert await named(allow=["wildlife"]) == ["animal", "cat", "tabby cat"]
    assert await named(allow=["Vehicles"]) == []


async def test_a_language_nobody_speaks_is_answered_in_english_and_noted(running: Gateway) -> None:
    request = annotator_pb2.AnnotateRequest(image=picture(), tags=tags_pb2.TagsOptions(), languages=["tlh", "fr-CA"])
    answer = (await running.stub.Annotate(request)).tags
    assert answer.unknown_languages == ["tlh"]
    assert dict(answer.tags[0].names) == {"en": "cat", "fr": "chat"}
