# SPDX-License-Identifier: Apache-2.0
"""Has a native Immich answer what we do not serve. Whatever it does, our own work is not touched, and not delayed for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import urljoin

import httpx2

from imagier_server.errors import Code, Full, ImagierError, OverloadedError
from imagier_server.transport.http.immich.entries import FIELD, Models, ModelTask, written

MOST = 16
"""Requests at a time; Immich itself sends two for a task."""
ANSWER_BYTES = 8 * 1024 * 1024
"""Maximum answer: a thousand faces have about six million."""
_CONNECT_SECONDS = 2.0


class UpstreamUnavailableError(ImagierError):
    """The program that requests are relayed to does not answer, or answers nonsense."""

    code = Code.UNAVAILABLE
    reason = "UPSTREAM_UNAVAILABLE"
    retry_after = 5.0


class UpstreamRefusedError(ImagierError):
    """The program that requests are relayed to refuses this one."""

    code = Code.INVALID
    reason = "UPSTREAM_REFUSED"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: an object by task, and the bytes that it came in."""

    value: Mapping[str, Any]
    content: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """A request as it is passed on: a multipart body whose bytes may still be arriving."""

    content_type: str
    chunks: AsyncIterator[bytes]
    length: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Those of the body; without a length it is sent in chunks."""
        return {"content-type": self.content_type} | ({"content-length": self.length} if self.length else {})


@dataclass(slots=True)
class Upstream:
    """A native Immich machine learning. It has `seconds` for taking a request and answering it."""

    client: httpx2.AsyncClient
    url: str
    seconds: float
    _in_flight: int = field(default=0, init=False)

    async def predict(self, form: Form, tasks: Iterable[ModelTask]) -> Answer:
        """Its answer for the tasks. Raises `UpstreamUnavailableError`, `UpstreamRefusedError`, `OverloadedError`."""
        if self._in_flight >= MOST:
            raise OverloadedError("too many requests are being relayed", Full.PICTURES)
        self._in_flight += 1
        try:
            async with asyncio.timeout(self.seconds):
                content = await self._post(form)
                return Answer(await asyncio.to_thread(_checked, content, tuple(tasks)), content)
        except TimeoutError:
            raise UpstreamUnavailableError("the native Immich did not answer in time") from None
        except (httpx2.HTTPError, OSError):
            raise UpstreamUnavailableError("the native Immich cannot be reached, or breaks off") from None
        finally:
            self._in_flight -= 1

    async def _post(self, form: Form) -> bytes:
        async with self.client.stream("POST", self.url, content=form.chunks, headers=form.headers) as response:
            _check_status(response.status_code)
            if "content-encoding" in response.headers:
                _nonsense()
            pieces, size = [], 0
            async for piece in response.aiter_raw():
                size += len(piece)
                if size > ANSWER_BYTES:
                    _nonsense()
                pieces.append(piece)
        return b"".join(pieces)


def made_form(tasks: Mapping[ModelTask, Models], given: Mapping[str, bytes | str]) -> Form:
    """A request for some tasks only, about the image or the text."""
    fields = {FIELD: written(tasks)} | {name: each for name, each in given.items() if isinstance(each, str)}
    files = {name: ("blob", each) for name, each in given.items() if isinstance(each, bytes)}
    # A part of the form by its name makes it multipart, with or without a file.
    parts = [(name, (None, value)) for name, value in fields.items()]
    request = httpx2.Request("POST", "http://x", files=[*parts, *files.items()])
    assert isinstance(request.stream, httpx2.AsyncByteStream)
    return Form(request.headers["content-type"], request.stream.__aiter__(), request.headers["content-length"])


def _check_status(status: int) -> None:
    if (
        status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        raise UpstreamUnavailableError("the native Immich failed at this request")
    if status >= HTTPStatus.BAD_REQUEST:
        raise UpstreamRefusedError("the native Immich refuses this request: it may not have the model")
    if status != HTTPStatus.OK:
        _nonsense()


def _checked(content: bytes, tasks: Iterable[ModelTask]) -> Mapping[str, Any]:
    """The answer, if it has something for each task."""
    try:
        value = json.loads(content, parse_constant=_no_json)
    except (ValueError, RecursionError):
        _nonsense()
    if not isinstance(value, dict) or any(not isinstance(value.get(task), str | list | dict) for task in tasks):
        _nonsense()
    return value


def _no_json(constant: str) -> NoReturn:
    raise ValueError(constant)


def _nonsense() -> NoReturn:
    raise UpstreamUnavailableError("the native Immich answers something else than Immich does: is it one?")


@asynccontextmanager
async def opened(base: str | None, seconds: float) -> AsyncIterator[Upstream | None]:
    """The native Immich at a base URL, whose path is kept; None if there is none."""
    if base is None:
        yield None
        return
    client = httpx2.AsyncClient(
        headers={"accept-encoding": "identity"},
        timeout=httpx2.Timeout(seconds, connect=_CONNECT_SECONDS),
        limits=httpx2.Limits(max_connections=MOST, max_keepalive_connections=MOST),
        follow_redirects=False,
        trust_env=False,
    )
    async with client:
        yield Upstream(client, urljoin(base.rstrip("/") + "/", "predict"), seconds)
