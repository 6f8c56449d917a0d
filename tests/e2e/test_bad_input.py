# SPDX-License-Identifier: Apache-2.0
"""A handful of what users have and attackers send, against the real server with its real models."""

from __future__ import annotations

import io
import json
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
from google.rpc import error_details_pb2, status_pb2
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, ocr_pb2, tags_pb2
from PIL import Image
from support import made_pictures as made
from support.heic import heic
from support.real_server import Server, encoded

Stub = annotator_pb2_grpc.AnnotatorServiceStub


def request(image: bytes, **options: object) -> annotator_pb2.AnnotateRequest:
    return annotator_pb2.AnnotateRequest(image=image, tags=tags_pb2.TagsOptions(**options), ocr=ocr_pb2.OcrOptions())


BAD = {
    "empty": b"",
    "not a picture": b"#!/bin/sh\n",
    "half a JPEG": made.encoded(made.noise(), "JPEG")[:2000],
    "half a TIFF": made.encoded(made.noise(), "TIFF")[:2000],
    "30 000 x 30 000": made.png((30_000, 30_000), bytes(1_000_000), depth=1, colour=0),
    "a thousand scans": made.with_scans(1000, (3000, 3000)),
}


@pytest.mark.parametrize("name", BAD)
def test_a_clear_permanent_error_that_names_the_field(stub: Stub, name: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        stub.Annotate(request(BAD[name]))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = status_pb2.Status.FromString(dict(raised.value.trailing_metadata())["grpc-status-details-bin"])
    fault = error_details_pb2.BadRequest()
    assert any(detail.Unpack(fault) for detail in status.details if detail.Is(fault.DESCRIPTOR))
    assert fault.field_violations[0].field == "image"


UNUSUAL = {
    "one pixel": (made.encoded(Image.new("RGB", (1, 1))), (1, 1)),
    "a line across": (made.encoded(Image.new("RGB", (20_000, 1), "red")), (20_000, 1)),
    "YCCK": (made.ycck(made.RED), (64, 64)),
    "HEIC, turned": (heic(made.quadrants(), 1), (64, 128)),
    "iCCP bomb": (made.text_bomb(b"iCCP"), (1, 1)),
    "EXIF bomb": (
        made.encoded(made.quadrants(), exif=made.exif_bombs()["a directory that follows itself"]),
        (128, 64),
    ),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_answer_for_what_is_only_unusual(stub: Stub, name: str) -> None:
    image, size = UNUSUAL[name]
    answer = stub.Annotate(request(image))
    assert (answer.tags.status.code, answer.ocr.status.code) == (0, 0)
    assert (answer.width, answer.height) == size


@pytest.mark.parametrize("mode", ["CMYK", "P", "L", "LA", "I;16", "HEIC", "AVIF", "BMP", "JPEG2000"])
def test_a_page_reads_alike_in_every_format(stub: Stub, photographs: dict[str, bytes], mode: str) -> None:
    page = Image.open(io.BytesIO(photographs["page"])).convert("L")
    page = page.crop((0, 0, page.width // 32 * 32, page.height // 32 * 32))
    files = {
        "CMYK": lambda: encoded(page.convert("CMYK"), "JPEG"),
        "HEIC": lambda: heic(page.convert("RGB")),
        "AVIF": lambda: encoded(page, "AVIF"),
        "BMP": lambda: encoded(page, "BMP"),
        "JPEG2000": lambda: encoded(page, "JPEG2000"),
        "I;16": lambda: encoded(Image.fromarray(np.asarray(page).astype(np.uint16) * 257)),
    }
    image = files.get(mode, lambda: encoded(page.convert(mode)))()
    answer = stub.Annotate(annotator_pb2.AnnotateRequest(image=image, ocr=ocr_pb2.OcrOptions()))
    assert "segmentation" in answer.ocr.text


def test_the_decoders_are_confined_and_the_server_has_said_so(server: Server) -> None:
    decoders = [each for each in server.family if "imagier_server.decode.worker" in each.cmdline()]
    assert decoders
    for decoder in decoders:
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{decoder.pid}/status").read_text().splitlines())
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        assert decoder.rlimit(psutil.RLIMIT_NOFILE) == decoder.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
    said = [json.loads(line) for line in server.log.read_text("utf-8").splitlines() if "decoder confinement" in line]
    assert [(line["level"], line["seccomp"]) for line in said] == [("info" if said[0]["landlock"] else "warning", True)]
