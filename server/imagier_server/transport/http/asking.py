# SPDX-License-Identifier: Apache-2.0
"""Makes requests of options in protobuf's JSON, by the tasks' own codecs: a new task needs no code here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from imagier_server.errors import InvalidRequestError
from imagier_server.messages import AnnotateRequest
from imagier_server.transport.codecs.codec import first
from imagier_server.transport.codecs.registry import codecs

M = TypeVar("M", bound=Message)

_NAMABLE = re.compile(r"[\w.$@-]{1,64}", re.ASCII)


def asked(
    image: bytes, options: Mapping[str, Any], languages: Iterable[str] = (), request_id: str = ""
) -> AnnotateRequest:
    """The request for a picture; `options` by task, in protobuf's JSON of its options message. Raises `InvalidRequestError`."""
    if not options.keys() <= codecs().keys():
        raise InvalidRequestError("this server does not have the requested task: see its catalogue", field="tasks")
    tasks = {
        task: codec.read(message_of(options[task], codec.options, task))
        for task, codec in codecs().items()
        if task in options
    }
    return AnnotateRequest(image, tasks, first(languages), request_id)


def message_of(value: object, kind: type[M], field: str = "") -> M:
    """The message of protobuf's JSON; `field` is its name in the request. Raises `InvalidRequestError`, which quotes nothing."""
    if not isinstance(value, dict):
        raise InvalidRequestError("this must be a JSON object", field=field or None)
    known = _fields(kind)
    for name, each in value.items():
        # protobuf takes numbers and null, too, of which /openapi.json says nothing.
        if (
            name in known
            and known[name].enum_type
            and not (isinstance(each, str) and each in known[name].enum_type.values_by_name)
        ):
            raise _unfit(field, known[name].name)
    message = kind()
    try:
        ParseDict(value, message)
    except (ParseError, ValueError, TypeError, RecursionError):
        raise _fault(value, kind, field) from None
    return message


def named(name: str) -> str | None:
    """A name of the caller's in an error, if it is short and plain: whatever else it is, it is no name of ours."""
    return name if _NAMABLE.fullmatch(name) else None


def no_option(task: str, name: str) -> InvalidRequestError:
    """The error of an option that the task, or the message, does not have."""
    path = ".".join(filter(None, (task, named(name))))
    return InvalidRequestError("there is no such option: see the catalogue", field=path or None)


def _fault(value: Mapping[str, Any], kind: type[Message], field: str) -> InvalidRequestError:
    """Find the first entry that does not fit."""
    known = _fields(kind)
    for name, each in value.items():
        if name not in known:
            return no_option(field, name)
        try:
            ParseDict({name: each}, kind())
        except (ParseError, ValueError, TypeError, RecursionError):
            found = known[name]
            nested = found.message_type and not found.is_repeated
            if nested and isinstance(each, dict) and not found.message_type.GetOptions().map_entry:
                return _fault(each, _class(kind, found.name), _path(field, found.name))
            return _unfit(field, found.name)
    return InvalidRequestError("an option is there twice", field=field or None)


def _unfit(field: str, name: str) -> InvalidRequestError:
    return InvalidRequestError("the value does not fit: see the contract", field=_path(field, name))


def _path(field: str, name: str) -> str:
    return f"{field}.{name}".lstrip(".")


def _fields(kind: type[Message]) -> dict[str, Any]:
    """The fields by both their names."""
    return {**kind.DESCRIPTOR.fields_by_name, **kind.DESCRIPTOR.fields_by_camelcase_name}


def _class(kind: type[Message], field: str) -> type[Message]:
    return type(getattr(kind(), field))
