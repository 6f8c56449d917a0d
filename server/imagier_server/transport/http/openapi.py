# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI 3.1 document of /v1, from the contract and from what this server's tasks say of their options."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from imagier.v1 import account_pb2, annotator_pb2, catalog_pb2, embedding_pb2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from imagier_server.catalogue import Catalogue, TaskInfo
from imagier_server.errors import Code
from imagier_server.pipeline import MAX_REQUEST_ID
from imagier_server.tasks.languages import MAX_LANGUAGE, MAX_LANGUAGES
from imagier_server.tasks.options import Option
from imagier_server.transport.codecs.registry import codecs
from imagier_server.transport.http import problems, texts
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint
from imagier_server.transport.http.json_schema import Schema, field_schema, reference, schemas
from imagier_server.transport.statuses import STATUSES

PROBLEM: Schema = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What to do."},
        "reason": {"type": "string", "description": "A constant, as gRPC's ErrorInfo has it."},
        "field": {"type": "string", "description": "The field at fault."},
        "retryable": {
            "type": "boolean",
            "description": "Whether the same request may succeed later: after Retry-After.",
        },
    },
    "required": ["title", "status", "detail", "reason", "retryable"],
    "additionalProperties": False,
}
_TOO_LARGE = 413
_OF_ACCOUNTS = (
    Code.INVALID,
    Code.UNAUTHENTICATED,
    Code.FORBIDDEN,
    Code.NOT_FOUND,
    Code.UNSUPPORTED,
    Code.UNAVAILABLE,
)
_TENANT: Schema = {
    "name": "tenant",
    "in": "query",
    "schema": {"type": "string"},
    "description": "Another tenant, for keys with the scope admin.",
}
URL: Schema = {"url": {"type": "string", "description": "Where the picture is, in place of the file: https://…"}}


async def document(_request: Request, door: Door) -> Response:
    """The document. Needs no key."""
    return JSONResponse(described(door.catalogue(), fetches=door.fetcher is not None))


ENDPOINTS = (Endpoint("/openapi.json", document, ("GET",)),)


def described(catalogue: Catalogue, *, fetches: bool) -> dict[str, Any]:
    """The document of a server with this catalogue. `fetches`: whether it fetches pictures by URL."""
    results = [codecs()[task.name].result for task in catalogue.tasks]
    asked = [codecs()[task.name].options for task in catalogue.tasks]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Imagier",
            "version": catalogue.server_version,
            "description": "Reads pictures for other programs, and forgets each the moment it is answered.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"key": []}],
        "paths": {
            "/v1/annotate": {"post": _annotate(catalogue, fetches)},
            "/v1/embed-text": {
                "post": {
                    "operationId": "embed-text",
                    "summary": "Vectors of texts, to be compared with those of pictures.",
                    "requestBody": {"required": True, "content": {"application/json": {"schema": texts.BODY}}},
                    "responses": _responses(reference(embedding_pb2.EmbedTextResponse), Code),
                }
            },
            "/v1/catalog": {
                "get": {
                    "operationId": "catalog",
                    "summary": "What this server can do: tasks, options, prices, models, languages, limits.",
                    "responses": _responses(reference(catalog_pb2.GetCatalogResponse), (Code.UNAUTHENTICATED,)),
                }
            },
            "/v1/account": {
                "get": {
                    "operationId": "account",
                    "summary": "What is left of a tenant's credits.",
                    "parameters": [_TENANT],
                    "responses": _responses(reference(account_pb2.GetBalanceResponse), _OF_ACCOUNTS),
                }
            },
            "/v1/usage": {
                "get": {
                    "operationId": "usage",
                    "summary": "What a tenant used, by day (UTC) and task.",
                    "parameters": [_TENANT, _day("first_day", "30 days before the last"), _day("last_day", "today")],
                    "responses": _responses(reference(account_pb2.ListUsageResponse), _OF_ACCOUNTS),
                }
            },
        },
        "components": {
            "schemas": {
                **schemas(
                    annotator_pb2.AnnotateResponse,
                    catalog_pb2.GetCatalogResponse,
                    embedding_pb2.EmbedTextResponse,
                    account_pb2.GetBalanceResponse,
                    account_pb2.ListUsageResponse,
                    *results,
                    *asked,
                ),
                "Problem": PROBLEM,
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def _annotate(catalogue: Catalogue, fetches: bool) -> Schema:
    shared = _shared(catalogue) | (URL if fetches else {})
    needed = [] if fetches else ["image"]
    flat = shared | {
        name: schema
        for task in catalogue.tasks
        for name, schema in (
            (task.name, {"type": "boolean", "description": f"Asks for {task.name}; may be empty for true."}),
            *(
                (f"{task.name}.{option.name}", _option(task, option))
                for option in task.options
                if _is_flat(task, option)
            ),
        )
    }
    picture: Schema = {
        "type": "string",
        "contentEncoding": "base64",
        "description": "The file in base64, or a data: URL.",
    }
    members = {"image": picture, **shared, **{task.name: _options(task) for task in catalogue.tasks}}
    file: Schema = {"type": "string", "format": "binary", "description": "The picture file."}
    return {
        "operationId": "annotate",
        "summary": "A picture in, JSON out.",
        "description": "Tasks and options are query parameters, form fields, or members of the JSON. An option asks for its task;"
        " at least one task is needed.",
        "parameters": [_parameter(name, schema) for name, schema in flat.items()],
        "requestBody": {
            "required": not fetches,
            "content": {
                **{kind: {"schema": file} for kind in (*catalogue.formats, "application/octet-stream")},
                "multipart/form-data": {
                    "schema": {"type": "object", "properties": {"image": file, **flat}, "required": needed}
                },
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": members,
                        "required": needed,
                        "additionalProperties": False,
                    }
                },
            },
        },
        "responses": _responses(reference(annotator_pb2.AnnotateResponse), Code),
    }


def _shared(catalogue: Catalogue) -> dict[str, Schema]:
    names = [task.name for task in catalogue.tasks]
    shared: dict[str, Schema] = {
        "tasks": {
            "type": "array",
            "items": {"type": "string", "enum": names},
            "description": f"What to read: {', '.join(names)}.",
        },
        "languages": {
            "type": "array",
            "items": {"type": "string", "maxLength": MAX_LANGUAGE},
            "maxItems": MAX_LANGUAGES,
            "description": "BCP 47 languages of the results, best first.",
        },
        "request_id": {"type": "string", "maxLength": MAX_REQUEST_ID, "description": "Returned unchanged."},
    }
    return shared | _NONCE if catalogue.receipt_key else shared


_NONCE: dict[str, Schema] = {
    "receipt_nonce": {
        "type": "string",
        "pattern": "^([0-9a-fA-F]{2}){16,64}$",
        "description": "Random bytes in hexadecimal, new ones for each picture: asks for a signed processing receipt.",
    }
}


def _options(task: TaskInfo) -> Schema:
    fields = codecs()[task.name].options.DESCRIPTOR.fields_by_name
    properties = {fields[option.name].json_name: _option(task, option) for option in task.options}
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "description": f"Asks for {task.name}.",
    }


def _option(task: TaskInfo, option: Option) -> Schema:
    schema = field_schema(codecs()[task.name].options.DESCRIPTOR.fields_by_name[option.name])
    kind = schema["type"]
    bounds = ("minItems", "maxItems") if kind == "array" else ("minimum", "maximum")
    limits = zip(bounds, (option.minimum, option.maximum), strict=True)
    schema |= {name: _number(limit) for name, limit in limits if limit is not None}
    return schema | {"description": f"Default: {option.default}."}


def _is_flat(task: TaskInfo, option: Option) -> bool:
    """Whether the option can be a field of a form or a query: objects are for JSON only."""
    return codecs()[task.name].options.DESCRIPTOR.fields_by_name[option.name].message_type is None


def _day(name: str, default: str) -> Schema:
    schema = {"type": "string", "format": "date", "description": f"Default: {default}."}
    return {"name": name, "in": "query", "schema": schema}


def _number(limit: float) -> float | int:
    return int(limit) if limit == int(limit) else limit


def _parameter(name: str, schema: Schema) -> Schema:
    # Names may not be listed with commas where a comma may be part of one.
    listed = {"style": "form", "explode": "." in name} if schema["type"] == "array" else {}
    return {"name": name, "in": "query", "schema": schema, **listed}


def _responses(schema: Schema, codes: Any) -> dict[str, Schema]:
    return {
        "200": {"description": "The answer.", "content": {"application/json": {"schema": schema}}},
        **dict(_problems(codes)),
    }


def _problems(codes: Any) -> Iterator[tuple[str, Schema]]:
    found = {STATUSES[code].http: STATUSES[code].retryable for code in codes}
    if Code.INVALID in codes:
        found[_TOO_LARGE] = False
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, retryable in sorted(found.items()):
        response: Schema = {
            "description": f"{HTTPStatus(status).phrase}: the detail says what to do.",
            "content": content,
        }
        if retryable:
            response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
        elif status == HTTPStatus.UNAUTHORIZED:
            response["headers"] = {"WWW-Authenticate": {"schema": {"const": "Bearer"}}}
        yield str(status), response
