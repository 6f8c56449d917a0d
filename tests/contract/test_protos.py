# SPDX-License-Identifier: Apache-2.0
"""The contract explains itself, and the stubs that everybody imports are the ones that these sources make."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grpc_tools
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

PROTOS = Path(__file__).parents[2] / "protos"
SOURCES = sorted((PROTOS / "imagier").rglob("*.proto"))

# Numbers of the fields of descriptor.proto that a path to a declaration is made of.
MESSAGES, ENUMS, SERVICES, FIELDS, NESTED_MESSAGES, NESTED_ENUMS, VALUES, METHODS = 4, 5, 6, 2, 3, 4, 2, 2


@cache
def compiled() -> FileDescriptorSet:
    """Our own files with their comments."""
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    output = subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"-I{well_known}", "--include_source_info"]
        + ["--descriptor_set_out=/dev/stdout", *map(str, SOURCES)],
        capture_output=True,
        check=True,
    ).stdout
    return FileDescriptorSet.FromString(output)


def declarations(file: FileDescriptorProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and path of everything that a caller may want explained."""

    def of_enum(enum, name, path):  # noqa: ANN001, ANN202
        yield f"{name}{enum.name}", path
        for i, value in enumerate(enum.value):
            if value.number:  # zero is "unspecified", and says nothing beyond its name
                yield value.name, (*path, VALUES, i)

    def of_message(message, name, path):  # noqa: ANN001, ANN202
        if message.options.map_entry:
            return
        name += message.name
        yield name, path
        for i, field in enumerate(message.field):
            yield f"{name}.{field.name}", (*path, FIELDS, i)
        for i, nested in enumerate(message.nested_type):
            yield from of_message(nested, f"{name}.", (*path, NESTED_MESSAGES, i))
        for i, enum in enumerate(message.enum_type):
            yield from of_enum(enum, f"{name}.", (*path, NESTED_ENUMS, i))

    for i, message in enumerate(file.message_type):
        yield from of_message(message, "", (MESSAGES, i))
    for i, enum in enumerate(file.enum_type):
        yield from of_enum(enum, "", (ENUMS, i))
    for i, service in enumerate(file.service):
        yield service.name, (SERVICES, i)
        for j, method in enumerate(service.method):
            yield f"{service.name}.{method.name}", (SERVICES, i, METHODS, j)


@pytest.mark.parametrize("file", compiled().file, ids=lambda file: Path(file.name).stem)
def test_everything_is_explained(file: FileDescriptorProto) -> None:
    comments = {tuple(location.path): location.leading_comments.strip() for location in file.source_code_info.location}
    names = dict(declarations(file))
    assert names
    assert [name for name, path in names.items() if not comments.get(path)] == []


def test_the_stubs_are_built_from_these_sources(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # protoc finds mypy-protobuf there
    subprocess.run([sys.executable, PROTOS / "build_stubs.py", tmp_path], env={"PATH": path}, check=True)
    built = {stub.relative_to(tmp_path): stub.read_text() for stub in tmp_path.rglob("*_pb2*.py*")}
    used = {stub.relative_to(PROTOS): stub.read_text() for stub in PROTOS.rglob("*_pb2*.py*")}
    assert len(built) == 4 * len(SOURCES)
    assert used == built, "run protos/build_stubs.py"
