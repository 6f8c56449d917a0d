# SPDX-License-Identifier: Apache-2.0
"""The form that is made for a native Immich. Its answers and faults: integration/http/test_immich_upstream.py."""

from __future__ import annotations

import json

from imagier_server.transport.http.immich.entries import ModelTask, read
from imagier_server.transport.http.immich.upstream import Form, made_form
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser
from support.native_immich import FACES

TASKS = read(json.dumps(FACES))


async def sent(form: Form) -> bytes:
    return b"".join([chunk async for chunk in form.chunks])


async def test_a_text_is_a_field_and_a_picture_a_blob() -> None:
    assert list(TASKS) == [ModelTask.FACES]
    for given in ({"text": "a cat"}, {"image": b"\x00\xff\r\n"}):
        form = made_form(TASKS, given)
        body = await sent(form)
        assert form.headers["content-length"] == str(len(body))

        async def whole(body: bytes = body) -> object:
            yield body

        fields = await MultiPartParser(Headers(form.headers), whole()).parse()  # type: ignore[arg-type]
        assert list(fields) == ["entries", *given]
        assert json.loads(str(fields["entries"])).keys() == FACES.keys()
        if "text" in given:
            assert fields["text"] == given["text"]
        else:
            assert fields["image"].filename == "blob"  # type: ignore[union-attr]
            assert await fields["image"].read() == given["image"]  # type: ignore[union-attr]
