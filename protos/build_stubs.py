# SPDX-License-Identifier: Apache-2.0
"""Compiles the contract: hatchling's build hook, and a script to run after an edit (`python protos/build_stubs.py`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script where hatchling is not installed
    BuildHookInterface = object  # type: ignore[assignment, misc]

PROTOS = Path(__file__).parent


def build(output: Path = PROTOS) -> None:
    """Writes `*_pb2.py`, `*_pb2_grpc.py` and their type stubs below `output`, as the package `imagier.v1`."""
    import grpc_tools  # noqa: PLC0415 - only the build has it
    from grpc_tools import protoc  # noqa: PLC0415

    well_known = Path(grpc_tools.__file__).parent / "_proto"
    sources = sorted(str(path) for path in (PROTOS / "imagier").rglob("*.proto"))
    arguments = [f"-I{PROTOS}", f"-I{well_known}", f"--python_out={output}", f"--grpc_python_out={output}"]
    # protoc's own .pyi covers messages only; mypy-protobuf covers the services too.
    arguments += [f"--mypy_out=quiet:{output}", f"--mypy_grpc_out=quiet:{output}"]
    if protoc.main(["protoc", *arguments, *sources]) != 0:
        message = "protoc refused the contract; its reasons are above"
        raise RuntimeError(message)


class StubsHook(BuildHookInterface):  # type: ignore[misc, unused-ignore]
    """Builds the stubs before a wheel or an editable install is made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del version, build_data
        build()


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else PROTOS)
