# SPDX-License-Identifier: Apache-2.0
"""/docs: the OpenAPI document as a page without scripts, made on this server; nothing of it comes from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint
from imagier_server.transport.http.openapi import described

_CURL = """\
curl --data-binary @photo.jpg -H 'content-type: image/jpeg' '{origin}/v1/annotate?tasks=tags'
curl -F image=@photo.jpg -F tasks=tags,ocr -F languages=fr {origin}/v1/annotate
curl {origin}/v1/catalog"""

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Imagier: HTTP API</title>
<style>
:root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }}
body {{ max-width: 64rem; margin: 2rem auto; padding: 0 1rem }}
pre, table {{ overflow-x: auto; display: block }}
pre {{ border: 1px solid; border-radius: .4rem; padding: .75rem }}
th, td {{ text-align: left; vertical-align: top; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid #8888 }}
</style>
<main>
<h1>Imagier {version}: HTTP API</h1>
<p>{about}</p>
<p>The whole of it, for programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>
<pre><code>{curl}</code></pre>
{operations}
</main>
</html>
"""


async def page(request: Request, door: Door) -> Response:
    """The page. Needs no key."""
    document = described(door.catalogue(), fetches=door.fetcher is not None)
    html = _PAGE.format(
        version=escape(document["info"]["version"]),
        about=escape(document["info"]["description"]),
        curl=escape(_CURL.format(origin=f"{request.url.scheme}://{request.url.netloc}")),
        operations="\n".join(_operations(document)),
    )
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    return HTMLResponse(html, headers={"content-security-policy": policy})


ENDPOINTS = (Endpoint("/docs", page, ("GET",)),)


def _operations(document: dict[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>"
            yield f"<p>{escape(operation.get('description', ''))}</p>"
            if parameters := operation.get("parameters"):
                yield _table(("field", "type", "what"), map(_field, parameters))
            if body := operation.get("requestBody"):
                kinds = ", ".join(f"<code>{escape(kind)}</code>" for kind in body["content"])
                yield f"<p>The body: {kinds}.</p>"
            rows = ((status, response["description"]) for status, response in operation["responses"].items())
            yield _table(("status", "what"), rows)


def _field(parameter: dict[str, Any]) -> tuple[str, str, str]:
    schema = parameter["schema"]
    kind = schema["type"] if schema["type"] != "array" else f"list of {schema['items']['type']}"
    names = {"minimum": "from", "maximum": "to", "minItems": "from", "maxItems": "to", "maxLength": "at most"}
    limits = " ".join(f"{word} {schema[name]}" for name, word in names.items() if name in schema)
    about = parameter.get("description") or schema.get("description", "")
    return parameter["name"], f"{kind} {limits}".strip(), about


def _table(head: tuple[str, ...], rows: Any) -> str:
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"
