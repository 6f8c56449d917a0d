# SPDX-License-Identifier: Apache-2.0
"""A server that is full says so in each API's own shape, and when to come back; a picture that is too large never comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from imagier_server.settings import Settings
from support.fake_triton import FakeTriton, never

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOM = Settings.model_fields["in_flight"].default


def requests(picture: str) -> dict[str, dict[str, Any]]:
    """A request of each API, by its path."""
    parts = [{"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{picture}"}}]
    given = [{"type": "input_image", "image_url": f"data:image/jpeg;base64,{picture}"}]
    return {
        "/v1/chat/completions": {"model": "imagier-tags", "messages": [{"role": "user", "content": parts}]},
        "/v1/responses": {"model": "imagier-tags", "input": [{"role": "user", "content": given}]},
        "/api/generate": {"model": "imagier-tags", "images": [picture], "stream": False},
        "/api/chat": {"model": "imagier-tags", "messages": [{"role": "user", "images": [picture]}], "stream": True},
        "/api/v1/vision/labels": {"images": [f"data:image/jpeg;base64,{picture}"]},
    }


@pytest_asyncio.fixture(loop_scope="module")
async def full(http: httpx2.AsyncClient, fake: FakeTriton, encoded: str) -> AsyncIterator[None]:
    """As many calls as one caller may have in flight, none of which is answered."""
    held_or_refused = asyncio.Semaphore(0)

    async def hold(request: Any, context: Any) -> Any:
        held_or_refused.release()
        return await never(request, context)

    fake.behaviours["tagger"] = hold
    body = requests(encoded)["/api/generate"]
    async with httpx2.AsyncClient(base_url=http.base_url, limits=httpx2.Limits(), timeout=60) as crowd:
        calls = [asyncio.create_task(crowd.post("/api/generate", json=body)) for _ in range(ROOM)]
        for call in calls:
            call.add_done_callback(lambda _: held_or_refused.release())
        async with asyncio.timeout(30):
            for _ in calls:
                await held_or_refused.acquire()
        yield
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_a_full_server_says_when_to_come_back(full: None, http: httpx2.AsyncClient, encoded: str) -> None:
    for path, body in requests(encoded).items():
        answer = await http.post(path, json=body)
        assert answer.status_code == 429, path
        assert int(answer.headers["retry-after"]) >= 1
        content = answer.json()
        if path.startswith("/v1/"):
            assert (content["error"]["type"], content["error"]["code"]) == ("rate_limit_error", "rate_limit_exceeded")
            assert answer.headers["x-should-retry"] == "true"
        else:
            assert isinstance(content["error"], str)
        assert content.get("code", 429) == 429


async def test_a_picture_that_is_too_large_is_refused_for_good(http: httpx2.AsyncClient, too_large: str) -> None:
    for path, body in requests(too_large).items():
        answer = await http.post(path, json=body)
        assert answer.status_code == 413, path
        assert "retry-after" not in answer.headers
        assert answer.json()["error"]
