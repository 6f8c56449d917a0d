# SPDX-License-Identifier: Apache-2.0
"""The promise: a word that was read, and the name of who asked, are nowhere afterwards but in the answer."""

from __future__ import annotations

import os
import tempfile
import urllib.request
from pathlib import Path

import grpc
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, caption_pb2, keywords_pb2, ocr_pb2, tags_pb2
from PIL import Image, ImageDraw, ImageFont
from support.real_server import cold, encoded, serve

CANARY = "QUAXOLOTL"
REQUEST_ID = "request-of-zebulon"


def files(own: Path) -> set[Path]:
    """Every file in the test's own folder, in the temporary folder and in shared memory."""
    folders = (own, Path(tempfile.gettempdir()), Path("/dev/shm"))
    found = (Path(top, name) for folder in folders for top, _, names in os.walk(folder) for name in names)
    return {path for path in found if is_file(path)}


def is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # another test's, whose path is longer than any that can be opened


def text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""  # another program's, removed meanwhile


def test_nothing_of_a_picture_stays(tmp_path: Path, unused_tcp_port: int) -> None:
    picture = Image.new("RGB", (800, 300), "white")
    ImageDraw.Draw(picture).text((60, 90), CANARY, "black", ImageFont.load_default(96))
    request = annotator_pb2.AnnotateRequest(
        image=encoded(picture),
        request_id=REQUEST_ID,
        tags=tags_pb2.TagsOptions(min_score=0.0, existing_tags=[CANARY]),
        ocr=ocr_pb2.OcrOptions(),
        caption=caption_pb2.CaptionOptions(candidates=5, include_guesses=True),
    )
    models = cold(tmp_path / "models")
    before = files(tmp_path)
    with serve(tmp_path, unused_tcp_port, "--model-repository", str(models), "--log-level", "debug") as server:
        with grpc.insecure_channel(server.address) as channel:
            stub = annotator_pb2_grpc.AnnotatorServiceStub(channel)
            answer = stub.Annotate(request)
            assert CANARY in answer.ocr.text.replace(" ", ""), "the canary was read, so it could have leaked"
            stub.MatchKeywords(keywords_pb2.MatchKeywordsRequest(keywords=[CANARY]))
            for broken in (request.image[:-40], b"\x89PNG\r\n\x1a\n" + CANARY.encode(), CANARY.encode()):
                try:
                    stub.Annotate(
                        annotator_pb2.AnnotateRequest(image=broken, ocr=ocr_pb2.OcrOptions(), request_id=REQUEST_ID)
                    )
                except grpc.RpcError as error:
                    assert CANARY not in str(error)
        with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics") as metrics:
            exposed = metrics.read().decode()
        tags = {tag.names["en"] for tag in answer.tags.tags}
        captions = {words for caption in answer.caption.captions for words in (caption.text, caption.text[2:-1])}
        assert captions, "a caption was written, so it could have leaked"
        contents = {path: text(path) for path in files(tmp_path) - before}
        assert server.log in contents
    own = [content for path, content in contents.items() if path.is_relative_to(tmp_path)]
    for word in (CANARY, REQUEST_ID, answer.caption.title, *captions, *(tag for tag in tags if len(tag) > 8)):
        assert word not in exposed
        assert not any(word in content for content in own), "a log holds it"
    for path, content in contents.items():
        # Triton's shared memory holds tensors until later ones overwrite them: docs/privacy.md says so.
        assert CANARY not in content or path.is_relative_to("/dev/shm"), f"{path.name} holds it"
        assert REQUEST_ID not in content, f"{path.name} holds it"
