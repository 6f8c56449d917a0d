# SPDX-License-Identifier: Apache-2.0
"""The processes of a real server, by what they are for: whom a test or a benchmark kills or stops."""

from __future__ import annotations

from contextlib import suppress

import psutil

from support.real_server import Server

MODELS = ("tagger", "captioner", "text_detector", "text_line_orienter", "text_recognizer")
DECODER, TRITON = "decoder", "tritonserver"


def processes(server: Server, victim: str) -> list[psutil.Process]:
    """The processes of the server that go by that name. One that ends just now is none of them."""
    words = {DECODER: "imagier_server.decode.worker", TRITON: "bin/tritonserver"}
    wanted = words.get(victim, f"/{victim}/1/model.onnx")
    found = []
    for process in server.family:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            arguments = process.cmdline()
            if any(wanted in argument for argument in arguments[: None if victim == DECODER else 2]):
                found.append(process)
    return [each for each in found if victim != TRITON or each.name() == TRITON]
