# SPDX-License-Identifier: Apache-2.0
"""JSON Schema of messages, as protobuf's JSON has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message

Schema = dict[str, Any]

_WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?s$"},
    "google.protobuf.Any": {"type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"]},
}


def schemas(*kinds: type[Message]) -> dict[str, Schema]:
    """The schema of each message and of those within it, by full name."""
    return dict(_all(kind.DESCRIPTOR for kind in kinds))


def reference(kind: type[Message]) -> Schema:
    """What points to a message's schema."""
    return _pointer(kind.DESCRIPTOR.full_name)


def field_schema(field: Any) -> Schema:
    """The schema of one field's value."""
    if field.message_type and field.message_type.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": _single(field.message_type.fields_by_name["value"])}
    return {"type": "array", "items": _single(field)} if field.is_repeated else _single(field)


def _all(descriptors: Any) -> Iterator[tuple[str, Schema]]:
    seen: set[str] = set()
    waiting = list(descriptors)
    while waiting:
        message = waiting.pop()
        if message.full_name in seen or message.full_name in _WELL_KNOWN:
            continue
        seen.add(message.full_name)
        if not message.GetOptions().map_entry:
            properties = {field.json_name: field_schema(field) for field in message.fields}
            yield message.full_name, {"type": "object", "properties": properties, "additionalProperties": False}
        waiting += [field.message_type for field in message.fields if field.message_type]


def _single(field: Any) -> Schema:
    kinds = {
        field.CPPTYPE_INT32: {"type": "integer"},
        field.CPPTYPE_UINT32: {"type": "integer"},
        field.CPPTYPE_INT64: {"type": "string", "pattern": "^-?[0-9]+$"},
        field.CPPTYPE_UINT64: {"type": "string", "pattern": "^[0-9]+$"},
        field.CPPTYPE_FLOAT: {"type": "number"},
        field.CPPTYPE_DOUBLE: {"type": "number"},
        field.CPPTYPE_BOOL: {"type": "boolean"},
        field.CPPTYPE_STRING: {"type": "string"},
    }
    if field.message_type:
        return _WELL_KNOWN.get(field.message_type.full_name) or _pointer(field.message_type.full_name)
    if field.enum_type:
        return {"type": "string", "enum": [value.name for value in field.enum_type.values]}
    if field.type == field.TYPE_BYTES:
        return {"type": "string", "contentEncoding": "base64"}
    return kinds[field.cpp_type]


def _pointer(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
