# SPDX-License-Identifier: Apache-2.0
"""Conversions between values and protobuf that several tasks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import Message
from imagier.v1 import tags_pb2

from imagier_client.errors import InvalidRequestError, from_status
from imagier_client.languages import primary
from imagier_client.tasks.task import ModelReference


def fill(message: Message, within: str = "", **values: object) -> None:
    """Sets these fields. Raises InvalidRequestError, with `within` before the field's name, for a value that protobuf refuses."""
    for name, value in values.items():
        try:
            message.MergeFrom(type(message)(**{name: value}))
        except ValueError as error:
            raise InvalidRequestError("out of range, or no text in Unicode", field=f"{within}{name}") from error
        except TypeError as error:
            raise InvalidRequestError("not of the type that is needed", field=f"{within}{name}") from error


def common(message: Any) -> dict[str, Any]:
    """Returns the arguments of TaskResult: models, cost and error."""
    models = (ModelReference(model.name, model.version, model.research_only) for model in message.models)
    error = from_status(message.status) if message.status.code else None
    return {"models": tuple(models), "cost": message.cost, "error": error}


def ordered_names(names: Mapping[str, str], languages: Sequence[str]) -> dict[str, str]:
    """Sorts names by language: those asked for in their order, then the others by code. Protobuf's maps have no order."""
    order = [primary(language) for language in languages]
    rank = {language: position for position, language in reversed(list(enumerate(order)))}
    return dict(sorted(names.items(), key=lambda item: (rank.get(item[0], len(rank)), item[0])))


def origin(value: tags_pb2.Origin.ValueType) -> str:
    """Returns the origin's name, "machine"; "unspecified" for one that is not known."""
    # A newer server may name one that this contract does not know.
    known = value in tags_pb2.Origin.values()
    return tags_pb2.Origin.Name(value).removeprefix("ORIGIN_").lower() if known else "unspecified"
