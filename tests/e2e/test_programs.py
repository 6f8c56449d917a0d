# SPDX-License-Identifier: Apache-2.0
"""Azure's tags and MT-Photos' text from the real models."""

from __future__ import annotations

import httpx2 as httpx
import pytest
import samples
from support.real_server import PATIENCE_SECONDS, Server, encoded

AZURE = "/vision/v3.2/analyze?visualFeatures=tags&language=en"


@pytest.fixture(scope="module")
def sign() -> bytes:
    return encoded(samples.street_sign())


def post(server: Server, path: str, **body: object) -> httpx.Response:
    answer = httpx.post(f"http://{server.http}{path}", timeout=PATIENCE_SECONDS, **body)  # type: ignore[arg-type]
    assert answer.status_code == httpx.codes.OK or "retry-after" in answer.headers, answer.text
    return answer


def test_a_drawn_sign_is_tagged_as_azure_and_read_as_mt_photos_asks(server: Server, sign: bytes) -> None:
    tags = post(server, AZURE, content=sign).json()["tags"]
    assert "street sign" in [tag["name"] for tag in tags]
    result = post(server, "/mt-photos/ocr", files={"file": ("1.png", sign)}, headers={"api-key": "any"}).json()[
        "result"
    ]
    assert any("Rue des Lilas" in text for text in result["texts"])
    assert len(result["texts"]) == len(result["scores"]) == len(result["boxes"])
