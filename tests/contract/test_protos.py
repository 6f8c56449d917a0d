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
from google.protobuf import descriptor_pb2

PROTOS = Path(__file__).parents[2] / "protos"
SOURCES = sorted((PROTOS / "imagier").rglob("*.proto"))
EXPLAINED = (
    descriptor_pb2.DescriptorProto,
    descriptor_pb2.FieldDescriptorProto,
    descriptor_pb2.OneofDescriptorProto,
    descriptor_pb2.EnumDescriptorProto,
    descriptor_pb2.EnumValueDescriptorProto,
    descriptor_pb2.ServiceDescriptorProto,
    descriptor_pb2.MethodDescriptorProto,
)


@cache
def compiled(folder: Path) -> descriptor_pb2.FileDescriptorSet:
    """Our own files with their comments."""
    includes = [f"-I{PROTOS}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
    output = folder / "contract.binpb"
    arguments = [*includes, "--include_source_info", f"--descriptor_set_out={output}", *map(str, SOURCES)]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True)
    return descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes())


def declarations(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, str]]:
    """Name and comment of each declaration. A location's path alternates field numbers and indices (descriptor.proto)."""
    for location in file.source_code_info.location:
        names, node = [], file
        for number, index in zip(location.path[::2], location.path[1::2], strict=False):
            field = node.DESCRIPTOR.fields_by_number[number]
            if not field.is_repeated or field.message_type is None:
                break
            node = getattr(node, field.name)[index]
            names.append(getattr(node, "name", ""))
        else:
            if len(location.path) % 2 == 0 and isinstance(node, EXPLAINED):
                yield ".".join(names), location.leading_comments.strip()


@pytest.mark.parametrize("name", [source.relative_to(PROTOS).as_posix() for source in SOURCES])
def test_everything_is_explained(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    (file,) = (file for file in compiled(tmp_path_factory.getbasetemp()).file if file.name == name)
    comments = dict(declarations(file))
    assert len(comments) >= sum(1 + len(message.field) for message in file.message_type)
    # The zero of an enum says nothing beyond its name.
    assert [name for name, text in comments.items() if not text and not name.endswith("_UNSPECIFIED")] == []


def test_the_stubs_are_built_from_these_sources(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # protoc finds mypy-protobuf there
    subprocess.run([sys.executable, PROTOS / "build_stubs.py", tmp_path], env={"PATH": path}, check=True)
    built = stubs(tmp_path)
    assert len(built) == 4 * len(SOURCES)
    assert stubs(PROTOS) == built, "run protos/build_stubs.py"


def stubs(folder: Path) -> dict[Path, str]:
    return {
        path.relative_to(folder): path.read_text("utf-8")
        for path in folder.rglob("*_pb2*")
        if path.suffix in {".py", ".pyi"}
    }
