# SPDX-License-Identifier: Apache-2.0
"""A drawn picture through the official client of OpenAI, the real models behind the real Triton: caption, tags and text."""

from __future__ import annotations

import base64

import openai
import pytest
import samples
from pydantic import BaseModel
from support.real_server import Server, encoded


class Read(BaseModel):
    caption: str
    tags: list[str]
    text: str


@pytest.fixture
def picture() -> str:
    return f"data:image/png;base64,{base64.b64encode(encoded(samples.street_sign())).decode()}"


def test_a_drawn_sign_is_captioned_tagged_and_read(server: Server, picture: str) -> None:
    parts = [{"type": "image_url", "image_url": {"url": picture}}]
    with openai.OpenAI(base_url=f"http://{server.http}/v1", api_key="none", max_retries=0, timeout=600) as client:
        answer = client.chat.completions.parse(
            model="imagier",
            messages=[{"role": "user", "content": parts}],  # type: ignore[list-item, misc]
            response_format=Read,
        )
    read = answer.choices[0].message.parsed
    assert read
    assert "street sign" in read.tags
    assert "Rue des Lilas" in read.text
    assert not read.caption or read.caption.endswith(".")
