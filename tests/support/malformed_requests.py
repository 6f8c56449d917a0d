# SPDX-License-Identifier: Apache-2.0
"""Requests that no client should send: good ones of every API with something broken, and bytes that are hardly HTTP."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

from support.running_gateway import picture

PICTURE = picture("PNG", (64, 64))
_ENCODED = base64.b64encode(PICTURE).decode()
_URL = f"data:image/png;base64,{_ENCODED}"
_ANNOTATE = {
    "image": _ENCODED,
    "request_id": "7",
    "languages": ["fr"],
    "tags": {"maxTags": 5, "allow": ["cat"]},
    "ocr": {},
}
_MESSAGES = [
    {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": _URL}}]}
]
_INPUT = [
    {"role": "user", "content": [{"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": _URL}]}
]
_SCHEMA = {
    "type": "json_schema",
    "name": "n",
    "schema": {"type": "object", "properties": {"caption": {"type": "string"}}},
}

GOOD: dict[str, dict[str, Any]] = {
    "/v1/annotate": _ANNOTATE,
    "/imagier.v1.AnnotatorService/Annotate": {"image": _ENCODED, "requestId": "7", "tags": {"maxTags": 5}},
    "/imagier.v1.AnnotatorService/MatchKeywords": {"keywords": ["cat"], "languages": ["en"]},
    "/imagier.v1.AnnotatorService/GetCatalog": {},
    "/imagier.v1.AccountService/GetBalance": {"tenant": "x"},
    "/imagier.v1.AccountService/ListUsage": {"tenant": "x", "firstDay": "2026-01-01", "lastDay": "2026-01-02"},
    "/imagier.v1.AccountService/QuoteAnnotate": {"tasks": ["tags"], "pictures": 3},
    "/v1/chat/completions": {"model": "imagier-caption", "messages": _MESSAGES, "stream": False, "max_tokens": 9},
    "/v1/responses": {"model": "imagier", "input": _INPUT, "text": {"format": _SCHEMA}},
    "/v1/embeddings": {"model": "imagier", "input": "x"},
    "/api/generate": {"model": "imagier-tags", "prompt": "x", "images": [_ENCODED], "format": "json", "stream": False},
    "/api/chat": {
        "model": "imagier",
        "messages": [{"role": "user", "content": "x", "images": [_ENCODED]}],
        "stream": True,
    },
    "/api/show": {"model": "imagier"},
    "/api/embed": {"model": "imagier", "input": ["x"]},
    "/api/v1/vision/labels": {"id": "7", "images": [_URL], "prompt": "", "suffix": "", "stream": False},
    "/api/v1/vision/caption": {"id": "7", "images": [_URL], "model": "m"},
}
"""A request that is answered, by path."""

_JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 7, 2**63, 1e308, "", "x", "\0", "\ud800", "é" * 300, [], {}, [[]], [None], [{}], {"": ""}, {"url": None},
    "data:", "data:,", "data:;base64,", "data:image/png;base64,%%%", "data:image/png;base64," + "A" * 99_999,
    "data:" + "x" * 99_999,
    "data:text/html,<script>", "https://example.org/a.png", "file:///etc/passwd", "A" * 70_001, "=" * 70_000, "\\" * 70_000,
    list(range(500)), {str(number): number for number in range(500)},
)  # fmt: skip
_BODIES = (
    b"", b"\0", b"{", b"[", b'"', b"nul", b"[1,]", b"NaN", b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0", b"[" * 90_000, b'{"a":' * 30_000,
    b"9" * 9_000, b'{"image":"' + b"A" * 99_999, b"--b\r\n", b"--b\r\nContent-Disposition: form-data\r\n\r\n", b"--b--",
    b"--b\r\n" + b"x: " + b"y" * 99_999, b"\x1f\x8b", b"\x0a\xff\xff\xff\xff\x0f", b"\x08" * 5_000, bytes(5_000), PICTURE[:50],
)  # fmt: skip
_KINDS = (
    b"application/json", b"application/proto", b"application/connect+json", b"application/json; charset=utf-16", b"text/plain",
    b"multipart/form-data", b"multipart/form-data; boundary=b", b"multipart/form-data; boundary=" + b"b" * 300, b"image/jpeg",
    b"application/x-www-form-urlencoded", b"", b"/",
)  # fmt: skip
_QUERIES = (
    b"", b"?", b"?tasks=tags", b"?tasks=dance", b"?tasks=tags&tags.max_tags=-1", b"?tags.max_tags=1&tags.max_tags=2", b"?tags.=1",
    b"?.=1", b"?=&&=", b"?%00=%ff", b"?tasks=%ff%fe", b"?languages=" + b"a," * 500, b"?url=http://127.0.0.1/",
    b"?tasks=tags" + b"&tasks=tags" * 900,
)  # fmt: skip
_POST = b"POST /v1/annotate HTTP/1.1\r\nHost: x\r\n"
_GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
_CONNECT = b"POST /imagier.v1.AnnotatorService/GetCatalog HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
_HEADS = (
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"DANCE /v1/annotate HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://example.org/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%00%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    _GET + b"x: " + b"y" * 40_000 + b"\r\n\r\n",
    _GET + b"".join(b"x-%d: y\r\n" % number for number in range(4_000)) + b"\r\n",
    _GET + b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    _POST + b"Content-Length: -1\r\n\r\n",
    _POST + b"Content-Length: 1e3\r\n\r\n",
    _POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    _POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    _POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    _POST + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
    _CHUNKED + b"zz\r\n\r\n",
    _CHUNKED + b"ffffffffffffffff\r\n",
    _CONNECT + b"Connect-Timeout-Ms: -1\r\nContent-Length: 2\r\n\r\n{}",
)


def malformed(count: int, seed: int = 1) -> Iterator[bytes]:
    """So many requests, each for a connection of its own, the same for the same seed."""
    random = Random(seed)
    paths = list(GOOD)
    for _ in range(count):
        path = random.choice(paths)
        match random.randrange(10):
            case 0:
                yield random.choice(_HEADS)
            case 1 | 2 | 3:
                head = path.encode() + random.choice(_QUERIES)
                yield request(head, random.choice(_KINDS), random.choice(_BODIES))
            case _:
                value = _broken(GOOD[path], random)
                body = json.dumps(value, ensure_ascii=random.random() < 0.9).encode("utf-8", "surrogatepass")
                yield request(path.encode(), b"application/json", body)


def request(path: bytes, kind: bytes, body: bytes) -> bytes:
    """A POST, after which the connection ends."""
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (path, kind, len(body)) + body


def _broken(good: Any, random: Random) -> Any:
    """A copy in which something is missing or something else."""
    value = copy.deepcopy(good)
    if random.random() < 0.05 or not value:
        return random.choice(_JUNK)
    place = value
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = random.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and random.random() < 0.7:
            place = place[key]
            continue
        if random.random() < 0.25:
            del place[key]
        else:
            place[key] = random.choice(_JUNK)
        return value
