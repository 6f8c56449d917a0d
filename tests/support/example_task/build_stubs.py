# SPDX-License-Identifier: Apache-2.0
"""Hatchling's build hook: compiles brightness.proto against the contract that the installed `imagier` brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc_tools
from google.rpc import status_pb2
from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from imagier.v1 import model_pb2


class StubsHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del version, build_data
        # The roots of google/protobuf/*.proto, google/rpc/*.proto and imagier/v1/*.proto.
        roots = (
            Path(grpc_tools.__file__).parent / "_proto",
            *(Path(each.__file__).parents[2] for each in (status_pb2, model_pb2)),
        )
        includes = [f"-I{root}" for root in roots]
        arguments = ["protoc", f"-I{self.root}", *includes, f"--python_out={self.root}"]
        if protoc.main([*arguments, "imagier_brightness/brightness.proto"]) != 0:
            raise RuntimeError("protoc refused brightness.proto; its reasons are above")
