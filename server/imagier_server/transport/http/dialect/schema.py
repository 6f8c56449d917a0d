# SPDX-License-Identifier: Apache-2.0
"""Reads a JSON schema: which fields of it the tasks fill, and in what form. What cannot be filled is refused, never invented."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from imagier_server.errors import InvalidRequestError
from imagier_server.transport.codecs.words import Form, Words
from imagier_server.transport.http.asking import named
from imagier_server.transport.http.dialect.shape import Shape, usual

_NODES = 500
"""Parts of a schema that are looked at; references could go on for ever."""

_ABOUT = {
    "title",
    "description",
    "default",
    "examples",
    "$schema",
    "$id",
    "$comment",
    "deprecated",
    "readOnly",
    "writeOnly",
}
_SAYS_NOTHING = _ABOUT | {"type", "$defs", "definitions", "additionalProperties"}
"""Keywords that every answer of ours meets: it has no property beside those asked for."""


def read(schema: object, words: Mapping[str, Words], where: str) -> Mapping[str, Shape]:
    """The shapes of the fields that are asked for, by name. `words` by the fields that can be filled; `where` the schema is.

    Raises `InvalidRequestError` that names the part that no task can fill.
    """
    return _Schema(schema, words, where).read()


@dataclass
class _Schema:
    root: object
    words: Mapping[str, Words]
    where: str
    seen: int = field(default=0, init=False)

    def read(self) -> Mapping[str, Shape]:
        _, top = self._only(self.root, self.where, "object")
        properties, required = self._properties(top, self.where)
        for name in required:
            if name not in self.words:
                raise InvalidRequestError(
                    f"the schema requires a field that this model cannot fill: it has {', '.join(self.words)}",
                    field=_below(self.where, name),
                )
        shapes = {}
        for name, words in self.words.items():
            if name in properties or name in required:
                node = properties.get(name, True)
                free = node is True or node == {}
                shapes[name] = usual(name, words) if free else self._shape(node, words, _below(self.where, name))
        if not shapes:
            raise InvalidRequestError(
                f"the schema has no field that this model can fill: name {', '.join(self.words)}", field=self.where
            )
        return shapes

    def _shape(self, node: object, words: Words, where: str) -> Shape:
        """The first alternative that can be filled."""
        nullable, refusal = False, None
        fitting: Shape | None = None
        for kind, each in self._alternatives(node, where):
            if kind == "null":
                nullable = True
            elif fitting is None:
                try:
                    fitting = self._form(kind, each, words, where)
                except InvalidRequestError as error:
                    refusal = refusal or error
        if fitting is None:
            raise refusal or self._unfit(where, "null alone")
        return replace(fitting, nullable=nullable)

    def _form(self, kind: str, node: Mapping[str, Any], words: Words, where: str) -> Shape:
        if kind == "string":
            return Shape(Form.STRING, least=self._text(node, where))
        if kind == "object":
            return Shape(Form.OBJECT, self._keys(node, words, where))
        if kind != "array":
            raise self._unfit(where, f"the type {kind}" if kind in _TYPES else "its type")
        self._check(node, where, "items", "minItems", "maxItems", "uniqueItems")
        entries = f"{where}[]"
        kind, inner = self._only(node.get("items", {}), entries, "string", "object")
        least, most = _number(node, "minItems", 0), node.get("maxItems")
        if most is not None and (not isinstance(most, int) or most < max(least, 1)):
            raise self._unfit(where, "maxItems")
        if kind == "string":
            self._text(inner, entries)
            return Shape(Form.STRINGS, least=least, most=most)
        return Shape(Form.OBJECTS, self._keys(inner, words, entries), least, most)

    def _keys(self, node: Mapping[str, Any], words: Words, where: str) -> tuple[str, ...]:
        """The properties of an object that are filled: the words and their scores."""
        properties, required = self._properties(node, where)
        names: Mapping[str, Any] = properties or {words.key: {}} | {
            name: {"type": "number"} for name in sorted(words.scores)
        }
        keys = []
        for name in dict.fromkeys((*names, *required)):
            inner = _below(where, name)
            if name == words.key:
                self._text(self._only(names.get(name, {}), inner, "string")[1], inner)
            elif name in words.scores:
                self._score(self._only(names.get(name, {"type": "number"}), inner, "number")[1], inner)
            elif name in required:
                raise self._unfit(inner, "this property")
            else:
                continue
            keys.append(name)
        if words.key not in keys:
            raise self._unfit(where, f'an object without "{words.key}"')
        return tuple(keys)

    def _text(self, node: Mapping[str, Any], where: str) -> int:
        self._check(node, where, "minLength")
        if _number(node, "minLength", 0) > 1:
            raise self._unfit(where, "minLength above 1")
        return 1 if node.get("minLength") else 0

    def _score(self, node: Mapping[str, Any], where: str) -> None:
        """A number from 0 to 1."""
        self._check(node, where, "minimum", "maximum")
        if _number(node, "minimum", 0) > 0 or _number(node, "maximum", 1) < 1:
            raise self._unfit(where, "a range that is not 0 to 1")

    def _properties(self, node: Mapping[str, Any], where: str) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        self._check(node, where, "properties", "required")
        properties, required = node.get("properties", {}), node.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise self._unfit(where, "this form of properties or required")
        return properties, tuple(name for name in required if isinstance(name, str))

    def _only(self, node: object, where: str, *kinds: str) -> tuple[str, Mapping[str, Any]]:
        """The first alternative of one of these types. Raises `InvalidRequestError` if there is none."""
        for kind, each in self._alternatives(node, where):
            if kind in kinds:
                return kind, each
        raise self._unfit(where, f"anything but {' or '.join(kinds)}")

    def _alternatives(self, node: object, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """(type, node) of each alternative, references followed."""
        self.seen += 1
        if self.seen > _NODES:
            raise self._unfit(self.where, f"more than {_NODES} parts")
        if not isinstance(node, dict):
            raise self._unfit(where, "a schema that is no object")
        for keyword in ("anyOf", "oneOf", "allOf"):
            inner = node.get(keyword)
            if isinstance(inner, list) and (keyword != "allOf" or len(inner) == 1):
                self._check(node, where, keyword)
                for each in inner:
                    yield from self._alternatives(each, where)
                return
        if "$ref" in node:
            yield from self._alternatives(self._referred(node["$ref"], where), where)
            return
        kinds = node.get("type", "object" if "properties" in node else "array" if "items" in node else "string")
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            yield str(kind), node

    def _referred(self, reference: object, where: str) -> object:
        found: Any = self.root
        parts = str(reference).split("/")
        if parts[0] != "#":
            raise self._unfit(where, "a reference out of the schema")
        for part in parts[1:]:
            found = found.get(part) if isinstance(found, dict) else None
        if found is None:
            raise self._unfit(where, "a reference to nothing")
        return found

    def _check(self, node: Mapping[str, Any], where: str, *known: str) -> None:
        for keyword in node:
            if keyword not in _SAYS_NOTHING and keyword not in known:
                raise self._unfit(where, _named(keyword))

    def _unfit(self, where: str, what: str) -> InvalidRequestError:
        return InvalidRequestError(f"the schema asks for what cannot be met here: {what}", field=where)


_TYPES = frozenset({"number", "integer", "boolean"})


def _number(node: Mapping[str, Any], keyword: str, default: float) -> Any:
    value = node.get(keyword, default)
    return value if isinstance(value, int | float) else default


def _below(where: str, name: str) -> str:
    return f"{where}.{_named(name)}"


def _named(name: str) -> str:
    return named(name) or "…"
