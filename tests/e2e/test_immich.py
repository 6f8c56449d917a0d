# SPDX-License-Identifier: Apache-2.0
"""Immich's OCR through the real models: what gRPC answers, in Immich's terms, whichever way the picture lies in its file."""

from __future__ import annotations

import json
from itertools import pairwise

import httpx2 as httpx
import numpy as np
import pytest
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, ocr_pb2
from PIL import Image, ImageDraw, ImageFont
from support import made_pictures as made
from support.native_immich import BOUNDARY, CLIP, MULTIPART, OCR, field, form
from support.real_server import PATIENCE_SECONDS, Server

LINES = ("Fresh bread every morning", "Closed on Mondays", "Mind the step")
LYING = {
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
}
"""How an upright picture is turned for a file with that orientation."""


def page() -> Image.Image:
    """Of odd sizes, to show which side is which."""
    picture = Image.new("RGB", (701, 333), "white")
    for row, line in enumerate(LINES):
        ImageDraw.Draw(picture).text((40 + 90 * row, 30 + 100 * row), line, "black", ImageFont.load_default(32))
    return picture


def laid(picture: Image.Image, orientation: int) -> Image.Image:
    turn = LYING[orientation]
    return picture if turn is None else picture.transpose(turn)


@pytest.mark.parametrize("orientation", LYING)
def test_boxes_lie_where_grpc_has_them_to_a_pixel(
    server: Server, stub: annotator_pb2_grpc.AnnotatorServiceStub, orientation: int
) -> None:
    lying = laid(page(), orientation)
    image = made.encoded(lying, exif=made.orientation(orientation))
    ours = stub.Annotate(annotator_pb2.AnnotateRequest(image=image, ocr=ocr_pb2.OcrOptions(min_confidence=0.8)))
    assert (ours.width, ours.height) == page().size
    answer = httpx.post(
        f"http://{server.http}/predict", content=form(OCR, image), headers=MULTIPART, timeout=PATIENCE_SECONDS
    )
    found = answer.json()
    assert (found["imageWidth"], found["imageHeight"]) == lying.size, "Immich does not apply the orientation"
    boxes = np.reshape(found["ocr"]["box"], (-1, 4, 2)) * lying.size
    places = {}
    for line in ours.ocr.lines:
        mask = Image.new("L", page().size)
        ImageDraw.Draw(mask).polygon([(point.x, point.y) for point in line.polygon], fill=255)
        places[line.text] = laid(mask, orientation).getbbox()
    assert sorted(found["ocr"]["text"]) == sorted(places) == sorted(LINES)
    for text, box in zip(found["ocr"]["text"], boxes, strict=True):
        edges = (*box.min(axis=0), *box.max(axis=0))
        assert np.abs(np.subtract(edges, places[text])).max() <= 1.5, "the mask rounds to whole pixels"
    assert all(lower[0][1] - upper[0][1] > -10 for upper, lower in pairwise(boxes)), "from the top down, row by row"
    scores = {line.text: line.confidence for line in ours.ocr.lines}
    assert found["ocr"]["textScore"] == pytest.approx([scores[text] for text in found["ocr"]["text"]], abs=1e-5)


def test_a_text_finds_its_picture_by_vectors_of_the_promised_size(
    server: Server, photographs: dict[str, bytes]
) -> None:
    """Immich's default model promises 512 numbers, and so has ours."""

    def vector(body: bytes) -> np.ndarray:
        answer = httpx.post(f"http://{server.http}/predict", content=body, headers=MULTIPART, timeout=PATIENCE_SECONDS)
        found = np.array(json.loads(answer.json()["clip"]))
        assert found.shape == (512,)
        assert np.linalg.norm(found) == pytest.approx(1, abs=1e-3)
        return found

    def text(words: str) -> bytes:
        entries = {"clip": {"textual": {"modelName": "ViT-B-32__openai", "options": {"language": "en"}}}}
        return field("entries", json.dumps(entries)) + field("text", words) + f"--{BOUNDARY}--\r\n".encode()

    cat, coffee = (vector(form(CLIP, photographs[name])) for name in ("chelsea", "coffee"))
    word = vector(text("a cat"))
    assert word @ cat > word @ coffee
