# SPDX-License-Identifier: Apache-2.0
"""A hook of MkDocs: writes the reference of the contract from the protos, that of settings and metrics from the code."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc_tools
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from grpc_tools import protoc
from imagier_server.metrics import Metrics
from imagier_server.settings import Settings
from mkdocs.structure.files import File

PROTOS = Path(__file__).parents[2] / "protos"
# The numbers of these fields in descriptor.proto: the paths under which it keeps comments.
MESSAGE, ENUM, SERVICE = 4, 5, 6
FIELD, NESTED, NESTED_ENUM, VALUE, METHOD = 2, 3, 4, 2, 2
SUFFIXES = {"counter": "_total"}


def on_files(files: Any, *, config: Any) -> Any:
    """Adds the generated pages."""
    for name, page in (("contract", contract()), ("settings", settings()), ("metrics", metrics())):
        files.append(File.generated(config, f"reference/{name}.md", content=page))
    return files


def contract() -> str:
    """Every service, message and enumeration of imagier.v1, with the comments of the protos."""
    return "\n".join(["# Contract", "", "Generated from the protobuf sources.", "", *map(_file, _sources())])


def settings() -> str:
    """Every setting of `imagier serve`."""
    rows = [
        f"| `--{name.replace('_', '-')}` | `IMAGIER_{name.upper()}` | {_default(field)} | {_cell(field.description)} |"
        for name, field in Settings.model_fields.items()
    ]
    head = ["# Settings", "", "A flag wins over the environment, the environment over the default.", ""]
    return "\n".join([*head, "| flag | environment | default | meaning |", "|---|---|---|---|", *rows])


def metrics() -> str:
    """Every series of the gateway."""
    rows = []
    for family in Metrics().registry.collect():
        if family.name.startswith("imagier_"):
            name = family.name + SUFFIXES.get(family.type, "")
            rows.append(f"| `{name}` | {family.type} | {_cell(family.documentation)} |")
    return "\n".join(["# Metrics", "", "| series | type | meaning |", "|---|---|---|", *rows])


def _default(field: Any) -> str:
    if field.default_factory:
        return "number of usable cores"
    return f"`{field.default}`" if field.default is not None else ""


def _cell(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "").replace("|", "\\|").replace("<", "&lt;").strip()


def _sources() -> list[FileDescriptorProto]:
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    sources = sorted(str(path) for path in (PROTOS / "imagier").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "contract.binpb"
        options = [f"-I{PROTOS}", f"-I{well_known}", "--include_source_info", f"--descriptor_set_out={output}"]
        if protoc.main(["protoc", *options, *sources]) != 0:
            raise RuntimeError("protoc refused the contract; its reasons are above")
        return list(FileDescriptorSet.FromString(output.read_bytes()).file)


def _file(source: FileDescriptorProto) -> str:
    comments = {
        tuple(each.path): each.leading_comments or each.trailing_comments for each in source.source_code_info.location
    }
    lines = [f"## {source.name.rsplit('/', 1)[-1]}", ""]
    for at, service in enumerate(source.service):
        lines += [
            f"### {service.name}",
            "",
            *_text(comments, SERVICE, at),
            "| RPC | request | answer | |",
            "|---|---|---|---|",
        ]
        for place, method in enumerate(service.method):
            asked = ("stream of " if method.client_streaming else "") + _link(method.input_type)
            answered = ("stream of " if method.server_streaming else "") + _link(method.output_type)
            meaning = _cell(comments.get((SERVICE, at, METHOD, place)))
            lines.append(f"| `{method.name}` | {asked} | {answered} | {meaning} |")
        lines.append("")
    for at, message in enumerate(source.message_type):
        lines += _message(message, (MESSAGE, at), comments)
    for at, enum in enumerate(source.enum_type):
        lines += _enum(enum, (ENUM, at), comments)
    return "\n".join(lines)


def _message(message: DescriptorProto, path: tuple[int, ...], comments: dict[tuple[int, ...], str]) -> Iterator[str]:
    if message.options.map_entry:
        return
    yield from (f"### {message.name}", "", *_text(comments, *path))
    if message.field:
        yield from ("| field | type | |", "|---|---|---|")
    for place, field in enumerate(message.field):
        choice = f", one of `{message.oneof_decl[field.oneof_index].name}`" if _in_oneof(field) else ""
        meaning = _cell(comments.get((*path, FIELD, place)))
        yield f"| `{field.name}` | {_type(field, message.nested_type)}{choice} | {meaning} |"
    yield ""
    for place, nested in enumerate(message.nested_type):
        yield from _message(nested, (*path, NESTED, place), comments)
    for place, enum in enumerate(message.enum_type):
        yield from _enum(enum, (*path, NESTED_ENUM, place), comments)


def _enum(enum: EnumDescriptorProto, path: tuple[int, ...], comments: dict[tuple[int, ...], str]) -> Iterator[str]:
    yield from (f"### {enum.name}", "", *_text(comments, *path), "| value | |", "|---|---|")
    for place, value in enumerate(enum.value):
        yield f"| `{value.name}` | {_cell(comments.get((*path, VALUE, place)))} |"
    yield ""


def _text(comments: dict[tuple[int, ...], str], *path: int) -> tuple[str, ...]:
    text = comments.get(path, "").strip().replace("<", "&lt;")
    return (text, "") if text else ()


def _in_oneof(field: FieldDescriptorProto) -> bool:
    return field.HasField("oneof_index") and not field.proto3_optional


def _type(field: FieldDescriptorProto, nested: Sequence[DescriptorProto]) -> str:
    entry = next(
        (each for each in nested if each.options.map_entry and field.type_name.endswith(f".{each.name}")), None
    )
    if entry:
        key, value = entry.field
        return f"map of {_type(key, ())} to {_type(value, ())}"
    name = _link(field.type_name) if field.type_name else FieldDescriptorProto.Type.Name(field.type)[5:].lower()
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {name}"
    return f"optional {name}" if field.proto3_optional else name


def _link(full_name: str) -> str:
    name = full_name.rsplit(".", 1)[-1]
    ours = full_name.startswith(".imagier.")
    return f"[{name}](#{name.lower()})" if ours else f"`{full_name.lstrip('.')}`"
