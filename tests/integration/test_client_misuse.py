# SPDX-License-Identifier: Apache-2.0
"""Both clients asked for what makes no sense, closed, in another event loop, behind a fork or a proxy."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imagier_client import (
    AsyncClient,
    Caption,
    ClientStateError,
    InvalidRequestError,
    Ocr,
    Tags,
    UnavailableError,
)
from PIL import Image
from support.both_clients import NEVER, NOBODY, Kind
from support.scripted_annotator import (
    Scripted,
)

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("timeout", {"timeout": 0}),
    ("timeout", {"timeout": -1}),
    ("timeout", {"timeout": float("nan")}),
    ("timeout", {"timeout": "5"}),
    ("timeout", {"timeout": True}),
    ("languages", {"languages": "fr"}),
    ("languages", {"languages": None}),
    ("languages", {"languages": [1]}),
    ("tasks", "tags"),
    ("tasks", Tags),
    ("tasks", True),
    ("tasks", {"max_tags": 3}),
    ("tags", Tags(max_tags=3)),  # beside the Tags() that every case asks for
    ("caption.candidates", Caption(candidates="3")),  # type: ignore[arg-type]
    ("caption.candidates", Caption(candidates=2**40)),
    ("ocr.words", Ocr(words="all")),  # type: ignore[arg-type]
    ("ocr.min_confidence", Ocr(min_confidence="1")),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(
    ("field", "wrong"), WRONG, ids=[f"{field}-{number}" for number, (field, _) in enumerate(WRONG)]
)
async def test_what_makes_no_sense_is_a_typed_error_and_is_not_sent(
    client: Any, script: Scripted, field: str, wrong: Any
) -> None:
    asked, options = ([Tags()], wrong) if isinstance(wrong, dict) and field != "tasks" else ([Tags(), wrong], {})
    with pytest.raises(InvalidRequestError) as caught:
        await client.annotate(b"1", *asked, **options)
    assert (caught.value.field, caught.value.retryable) == (field, False)
    # Of many pictures too, and before any is taken.
    with pytest.raises(InvalidRequestError) as caught:
        await client.many(NEVER, *asked, **options)
    assert caught.value.field == field
    assert script.requests == []


@pytest.mark.parametrize("in_flight", [0, -1, 1.5, "8", True, None])
async def test_no_room_in_flight_is_a_typed_error(client: Any, in_flight: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.many(NEVER, Tags(), in_flight=in_flight)
    assert caught.value.field == "in_flight"


async def test_no_end_of_time_is_no_deadline(client: Any) -> None:
    assert (await client.annotate(b"1", Tags(), timeout=float("inf"))).width == 1
    assert (await client.annotate(b"1", Tags(), timeout=1e300)).width == 1


async def test_what_holds_bytes_or_names_a_file_is_a_picture(client: Any, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    file.write_bytes(b"123")
    for image in (b"123", bytearray(b"123"), memoryview(b"0123")[1:], file, str(file)):
        assert (await client.annotate(image, Tags())).width == 3
        assert [outcome.width for _, outcome in await client.many([("a", image)], Tags())] == [3]


async def test_what_is_no_picture_is_a_typed_error(client: Any, script: Scripted, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    file.write_bytes(b"123")
    with file.open("rb") as opened:
        images = [None, 5, opened, Image.new("RGB", (1, 1)), np.zeros((2, 2, 3), np.uint8), ["a"]]
        for image in images:
            with pytest.raises(InvalidRequestError) as caught:
                await client.annotate(image, Tags())
            assert caught.value.field == "image"
        answers = await client.many([*enumerate(images), ("good", b"1")], Tags())
    assert {key for key, outcome in answers if isinstance(outcome, InvalidRequestError)} == set(range(len(images)))
    assert len(script.requests) == 1


@pytest.mark.parametrize("images", [None, 5, b"picture", "picture.jpg", [b"picture"], ["a"], [("a", b"1", "more")]])
async def test_what_are_no_pairs_is_a_typed_error(client: Any, script: Scripted, images: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.many(images, Tags())
    assert caught.value.field == "images"
    assert script.requests == []


async def test_keywords_as_one_string_are_not_taken_apart(client: Any, script: Scripted) -> None:
    for options in (
        {"keywords": "cat"},
        {"keywords": ["cat"], "languages": "fr"},
        {"keywords": [5]},
        {"keywords": None},
    ):
        with pytest.raises(InvalidRequestError):
            await client.match_keywords(**options)
    assert script.keywords == []


async def test_a_closed_client_says_so(kind: Kind, target: str) -> None:
    async with kind(target) as client:
        await client.annotate(b"1", Tags())
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: client.annotate(b"1", Tags()),
        lambda: client.many([("a", b"1")], Tags()),
        client.catalog,
        client.wait_ready,
        lambda: client.match_keywords(["cat"]),
    ]
    for call in calls:
        with pytest.raises(ClientStateError, match="closed"):
            await call()


async def test_a_client_that_was_never_entered_just_works(kind: Kind, target: str) -> None:
    client = kind(target)
    await client.wait_ready()
    assert (await client.annotate(b"1", Tags())).width == 1
    assert len(await client.many([("a", b"1")], Tags())) == 1
    await client.close()


async def test_a_client_in_a_second_event_loop_is_a_typed_error_while_the_first_runs(target: str) -> None:
    async with AsyncClient(target) as client:
        await client.catalog()
        with pytest.raises(ClientStateError, match="event loop"):
            await asyncio.to_thread(lambda: asyncio.run(client.catalog()))
    used_twice = AsyncClient(target)
    for _ in range(2):
        catalog = await asyncio.to_thread(lambda: asyncio.run(used_twice.catalog()))
        assert catalog.limits.image_bytes == 1000


FORK = """
import asyncio, os, sys
from imagier_client import AsyncClient, Client, ClientStateError
target = sys.argv[1]

def blocking():
    client = Client(target)
    client.catalog()
    return client.catalog

async def connected(client):
    await client.catalog()

def asynchronous():
    client = AsyncClient(target)
    asyncio.run(connected(client))
    return lambda: asyncio.run(client.catalog())

call = {"Blocking": blocking, "Asynchronous": asynchronous}[sys.argv[2]]()
child = os.fork()
if child == 0:
    try:
        call()
    except ClientStateError:
        os._exit(7)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


async def test_a_client_from_before_a_fork_is_a_typed_error(kind: Kind, target: str) -> None:
    forking = await asyncio.create_subprocess_exec(sys.executable, "-c", FORK, target, kind.__name__)
    assert await asyncio.wait_for(forking.wait(), 60) == 0


async def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    kind: Kind, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("grpc_proxy", "https_proxy", "http_proxy", "all_proxy"):
        monkeypatch.setenv(variable, f"http://me:secret@{NOBODY}")
    async with kind(target) as client:
        assert (await client.annotate(b"1", Tags())).width == 1


async def test_a_proxy_that_does_not_answer_is_named(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("grpc_proxy", "no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("https_proxy", f"http://me:secret@{NOBODY}")
    async with kind("192.0.2.1:8500") as client:
        with pytest.raises(UnavailableError) as caught:
            await client.annotate(b"1", Tags())
    assert f"192.0.2.1:8500 through the proxy {NOBODY} (of https_proxy)" in str(caught.value)
    assert "secret" not in str(caught.value)
