# SPDX-License-Identifier: Apache-2.0
"""The promise: a word that was read, and the name of who asked, are nowhere afterwards but in the answer."""

from __future__ import annotations

import tempfile
import urllib.request
from pathlib import Path

import grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, tags_pb2, text_pb2
from PIL import Image, ImageDraw, ImageFont
from real_server import encoded, serve

CANARY = "QUAXOLOTL"
REQUEST_ID = "request-of-zebulon"


def test_nothing_of_a_picture_stays(tmp_path: Path, unused_tcp_port: int) -> None:
    picture = Image.new("RGB", (800, 300), "white")
    ImageDraw.Draw(picture).text((60, 90), CANARY, "black", ImageFont.load_default(96))
    request = annotator_pb2.AnnotateRequest(
        image=encoded(picture),
        request_id=REQUEST_ID,
        tags=tags_pb2.TagsOptions(min_score=0.0),
        text=text_pb2.TextOptions(),
    )
    before = set(Path(tempfile.gettempdir()).rglob("*"))
    with serve(tmp_path, unused_tcp_port, "--log-level", "debug") as server:
        with grpc.insecure_channel(server.address) as channel:
            stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)
            answer = stub.Annotate(request)
            assert CANARY in answer.text.text.replace(" ", ""), "the canary was read, so it could have leaked"
            for broken in (request.image[:-40], b"\x89PNG\r\n\x1a\n" + CANARY.encode(), CANARY.encode()):
                try:
                    stub.Annotate(
                        annotator_pb2.AnnotateRequest(image=broken, text=text_pb2.TextOptions(), request_id=REQUEST_ID)
                    )
                except grpc.RpcError as error:
                    assert CANARY not in str(error)
        with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics") as metrics:
            exposed = metrics.read().decode()
        tags = {tag.names["en"] for tag in answer.tags.tags}
        written = [
            path
            for path in {*tmp_path.rglob("*"), *(set(Path(tempfile.gettempdir()).rglob("*")) - before)}
            if path.is_file()
        ]
        assert server.log in written
        contents = {path: path.read_bytes().decode("utf-8", "replace") for path in written}
    for secret in (CANARY, REQUEST_ID, *(tag for tag in tags if len(tag) > 8)):
        assert secret not in exposed
        for path, content in contents.items():
            assert secret not in content, f"{path.name} holds it"
