# SPDX-License-Identifier: Apache-2.0
"""The same caller through every door that speaks HTTP: /v1, Connect, the APIs of other programs, accounts, pictures by URL."""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any

from support.canary_visits import WORDS, Visit, marked
from support.running_gateway import picture

JSON = "application/json"


async def forms(visit: Visit) -> None:
    word, image = str(WORDS["word in the file"]), marked(picture())
    parts = b'--b\r\ncontent-disposition: form-data; name="image"; filename="%s"\r\ncontent-type: image/jpeg\r\n\r\n%s\r\n--b--\r\n'
    name = str(WORDS["file name"]).encode()
    query = f"?tasks=tags&request_id={WORDS['request id']}&receipt_nonce={bytes(WORDS['nonce']).hex()}"
    for body, status in ((image, 200), (image[:300], 400), (word.encode(), 400)):
        assert (
            await visit.post(f"/v1/annotate{query}", parts % (name, body), "multipart/form-data; boundary=b") == status
        )


async def json_bodies(visit: Visit) -> None:
    word, keyword = str(WORDS["word in the file"]), str(WORDS["keyword"])
    encoded = base64.b64encode(marked(picture())).decode()
    data, prompt = f"data:image/jpeg;base64,{encoded}", f"What is this? {keyword}"
    parts = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": data}}]
    said = [{"type": "input_text", "text": prompt}, {"type": "input_image", "image_url": data}]
    named = {"model": "imagier-tags", "stream": False}
    for path, value in (
        (
            "/imagier.v1.AnnotatorService/Annotate",
            {"image": encoded, "requestId": WORDS["request id"], "tags": {"existingTags": [keyword]}},
        ),
        ("/v1/chat/completions", named | {"messages": [{"role": "user", "content": parts}]}),
        ("/v1/responses", named | {"input": [{"role": "user", "content": said}]}),
        ("/api/generate", named | {"prompt": prompt, "images": [encoded]}),
        ("/api/chat", named | {"messages": [{"role": "user", "content": prompt, "images": [encoded]}]}),
        ("/api/v1/vision/labels", {"id": word, "model": keyword, "images": [data]}),
    ):
        body = json.dumps(value).encode()
        assert await visit.post(path, body, JSON) == 200, path
        assert await visit.post(path, body, JSON, str(WORDS["wrong key"])) == 401, path
        broken = body.replace(encoded.encode(), base64.b64encode(word.encode()))
        assert await visit.post(path, broken, JSON) == 400, path
        assert await visit.post(path, body[:-1] + word.encode(), JSON) == 400, path
    for name in (keyword, word):
        body = json.dumps({"model": name, "messages": [{"role": "user", "content": parts}]}).encode()
        assert await visit.post("/v1/chat/completions", body, JSON) == 404


async def key_in_the_query(visit: Visit) -> None:
    body = json.dumps({"model": "imagier-tags", "prompt": "", "stream": False, "images": []}).encode()
    assert await visit.post(f"/api/generate?key={visit.key}", body, JSON, None) < 500
    assert await visit.post(f"/api/generate?key={WORDS['wrong key']}", body, JSON, None) == 401


async def accounts(visit: Visit) -> None:
    word = str(WORDS["keyword"]).replace(" ", "%20")
    assert await visit.post("/v1/account", None, JSON) == 200
    assert await visit.post("/v1/account", None, JSON, str(WORDS["wrong key"])) == 401
    assert await visit.post(f"/v1/account?tenant={word}", None, JSON) == 403
    assert await visit.post(f"/v1/usage?first_day={word}", None, JSON) == 400
    assert await visit.post(f"/v1/{word}", None, JSON) == 404


async def by_url(visit: Visit) -> None:
    image, name = marked(picture()), str(WORDS["URL"])
    answers = {"good": image, "broken": image[:300], "text": str(WORDS["word in the file"]).encode()}

    async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
        found = answers.get(path.rpartition("/")[2])
        status = b"404 Not Found" if found is None else b"200 OK"
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(found or b""), found or b""))
        writer.close()

    server = await asyncio.start_server(site, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for path, status in (("good", 200), ("broken", 400), ("text", 400), ("away", 400)):
            asked: dict[str, Any] = {"url": f"http://127.0.0.1:{port}/{name}/{path}", "tags": {}}
            assert await visit.post("/v1/annotate", json.dumps(asked).encode(), JSON) == status, path
    for url in (f"http://10.0.0.1/{name}", f"http://127.0.0.1:{port}/{name}", f"gopher://{name}", name):
        body = json.dumps({"url": url, "tags": {}}).encode()
        assert await visit.post("/v1/annotate", body, JSON) in {400, 503}, url


async def tickets(visit: Visit) -> None:
    """Results of Piwigo's plugin: collected, sealed, and what was refused. The last one is left, and waits in the ledger."""
    word, name = str(WORDS["word in the file"]), str(WORDS["URL"])
    head = f'--b\r\ncontent-disposition: form-data; name="callback"\r\n\r\nhttps://photos.example/{name}\r\n'
    head += f'--b\r\ncontent-disposition: form-data; name="image"; filename="{WORDS["file name"]}"\r\n\r\n'
    kind = "multipart/form-data; boundary=b"
    for image in (marked(picture()), marked(picture())[:300], word.encode()):
        body = head.encode() + image + b"\r\n--b--\r\n"
        assert await visit.post("/piwigo/analyze", body, kind) == 200
        assert await visit.post("/piwigo/analyze", body, kind, str(WORDS["wrong key"])) == 401
    found: list[Any] = []
    async with asyncio.timeout(60):
        while len(found) < 3:
            found += json.loads(await visit.read("/piwigo/tickets"))["tickets"]
    assert {"failed" in ticket for ticket in found} == {True, False}
    assert any(str(WORDS["description"]) in (ticket.get("description") or "") for ticket in found)
    url = urllib.parse.urlencode({"imageUrl": f"http://10.0.0.1/{name}", "language": word}).encode()
    assert await visit.post("/piwigo/analyze", url, "application/x-www-form-urlencoded") == 400
    body = json.dumps({"ticket_ids": [word], "callback": f"https://photos.example/{name}"}).encode()
    for path in ("/piwigo/tickets/poll", "/piwigo/tickets/ack", "/piwigo/ping"):
        assert await visit.post(path, body, JSON) == 200
    body = head.encode() + marked(picture()) + b"\r\n--b--\r\n"
    assert await visit.post("/piwigo/analyze", body, kind) == 200


HTTP_VISITS: tuple[Callable[[Visit], Awaitable[None]], ...] = (
    forms,
    json_bodies,
    key_in_the_query,
    accounts,
    by_url,
    tickets,
)
