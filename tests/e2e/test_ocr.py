# SPDX-License-Identifier: Apache-2.0
"""Text that is hard to read, through the real models: turned, tiny, spread over a panorama, in scripts unknown."""

from __future__ import annotations

from difflib import SequenceMatcher

import numpy as np
import pytest
import samples
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, catalog_pb2, ocr_pb2
from imagier_client.drawing.fonts import font_for
from imagier_server.export.onnx_runtime import onnxruntime
from imagier_server.tasks.ocr.boxes import find_boxes
from PIL import Image, ImageDraw, ImageFont
from support import made_pictures as made
from support.real_server import REPOSITORY, encoded

Stub = annotator_pb2_grpc.AnnotatorServiceStub
LINES = (
    "Fresh bread every morning",
    "Closed on Mondays",
    "Rooms from 45 to 80",
    "Mind the step",
    "Platform 3, to the harbour",
)


def read(stub: Stub, picture: Image.Image, **options: object) -> ocr_pb2.OcrResult:
    answer = stub.Annotate(annotator_pb2.AnnotateRequest(image=encoded(picture), ocr=ocr_pb2.OcrOptions(**options)))
    assert answer.ocr.status.code == 0
    return answer.ocr


def page(width: int, height: int, *places: tuple[int, int], size: int = 28) -> Image.Image:
    """`LINES`, each at its place."""
    picture = Image.new("RGB", (width, height), "white")
    for line, place in zip(LINES, places, strict=False):
        ImageDraw.Draw(picture).text(place, line, "black", ImageFont.load_default(size))
    return picture


LIST = page(700, 560, *((60, 60 + 90 * row) for row in range(len(LINES))))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270, 20])
def test_a_turned_page_reads_as_the_upright_one(stub: Stub, degrees: float) -> None:
    found = read(stub, LIST.rotate(degrees, expand=True, fillcolor="white"), words=True)
    assert tuple(line.text for line in found.lines) == LINES
    assert found.text == "\n".join(LINES)
    assert [word.text for word in found.lines[1].words] == ["Closed", "on", "Mondays"]


def test_ink_fainter_than_the_grain_is_read(stub: Stub) -> None:
    """No line is lost, as one is of the same page without `bring_out`; single letters may be wrong."""
    worn = np.asarray(LIST, np.float64) * (30 / 255) + 225
    worn += np.random.default_rng(5).normal(0, 20, (*worn.shape[:2], 1))
    found = read(stub, Image.fromarray(np.clip(worn, 0, 255).astype(np.uint8))).lines
    assert len(found) == len(LINES)
    for row, (line, written) in enumerate(zip(found, LINES, strict=True)):
        assert SequenceMatcher(None, line.text, written).ratio() > 0.6
        assert abs(line.polygon[0].y - 60 - 90 * row) < 20


def test_a_page_whose_orientation_lies_is_read_as_well(stub: Stub) -> None:
    """Scanned upright, but marked as turned to the side."""
    image = made.encoded(LIST, exif=made.orientation(6))
    answer = stub.Annotate(annotator_pb2.AnnotateRequest(image=image, ocr=ocr_pb2.OcrOptions()))
    assert (answer.width, answer.height) == LIST.size[::-1]
    assert answer.ocr.text == "\n".join(LINES)


def test_polygons_lie_in_the_picture_as_the_caller_sees_it(stub: Stub) -> None:
    """Turned to the left: the first line runs up the left side, from its lower end."""
    first = read(stub, LIST.rotate(90, expand=True)).lines[0].polygon
    (begin, end, _, below) = ((point.x, point.y) for point in first)
    assert begin == pytest.approx((60, 640), abs=20)
    assert end[0] == pytest.approx(begin[0], abs=6)
    assert end[1] < begin[1] - 250
    assert below[0] > begin[0] + 15


@pytest.mark.parametrize(("side", "found"), [(1024, 1), (1408, 0)])
def test_the_detector_alone_overlooks_small_letters_on_a_larger_canvas_than_our_tiles(side: int, found: int) -> None:
    detector = onnxruntime.InferenceSession(REPOSITORY / "text_detector" / "1" / "model.onnx")
    pixels = np.asarray(page(side, side, (200, 300), size=14))[np.newaxis]
    (probability,) = detector.run(None, {"pixels": pixels})
    assert len(find_boxes(probability[0], (1.0, 1.0), side, side)) == found


def test_words_all_over_a_panorama(stub: Stub) -> None:
    places = [(300 + 2600 * column, 200 + 150 * column) for column in range(4)]
    assert {line.text for line in read(stub, page(12000, 1100, *places)).lines} == set(LINES[:4])


def test_a_label_of_eighty_pixels(stub: Stub) -> None:
    picture = Image.new("RGB", (80, 28), "white")
    ImageDraw.Draw(picture).text((6, 6), "EXIT 24", "black", ImageFont.load_default(15))
    assert [line.text for line in read(stub, picture).lines] == ["EXIT 24"]


def test_small_print_on_a_large_page(stub: Stub) -> None:
    """Letters of eleven pixels on a page of 3 500: six, as the overview shows them."""
    picture = page(2480, 3508, *((400, 400 + 60 * row) for row in range(len(LINES))), size=11)
    assert tuple(line.text for line in read(stub, picture).lines) == LINES


@pytest.mark.parametrize(("size", "letters"), [((4000, 3000), 18), ((6000, 4000), 30)])
def test_one_short_line_on_a_large_photograph_is_found_by_a_thorough_look(
    stub: Stub, size: tuple[int, int], letters: int
) -> None:
    picture = Image.new("RGB", size, (182, 194, 203))
    draw = ImageDraw.Draw(picture)
    draw.text((size[0] * 0.78, size[1] * 0.95), "captured 14 March 2024", (30, 30, 34), ImageFont.load_default(letters))
    found = read(stub, picture, effort=ocr_pb2.EFFORT_THOROUGH)
    assert [line.text for line in found.lines] == ["captured 14 March 2024"]


def test_columns_of_characters_are_read_downwards(stub: Stub) -> None:
    lines = {line.text: line.polygon for line in read(stub, samples.tea_house()).lines}
    downwards = [text for text, (begin, end, *_) in lines.items() if end.y - begin.y > 2 * abs(end.x - begin.x)]
    assert downwards
    assert all(character > "\u3000" for text in downwards for character in text)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("Latn", "Où êtes-vous né, garçon ?"),
        ("Latn", "Łąka za młynem, źrebię"),
        ("Hans", "请随手关门"),
        ("Hant", "門外有兩個蘋果"),
        ("Jpan", "りんごとパン"),
        ("Cyrl", "Закрывайте калитку"),
        ("Grek", "Κλείστε την πόρτα"),
    ],
)
def test_scripts_are_read_as_the_catalogue_says(stub: Stub, script: str, words: str) -> None:
    (task,) = (task for task in stub.GetCatalog(catalog_pb2.GetCatalogRequest()).tasks if task.name == "ocr")
    picture = Image.new("RGB", (640, 120), "white")
    font = font_for(words, 40)
    assert font is not None
    ImageDraw.Draw(picture).text((40, 30), words, "black", font)
    found = "".join(line.text for line in read(stub, picture).lines)
    if script in task.scripts:
        assert found.replace(" ", "") == words.replace(" ", "")
    else:
        assert not set(found) & set(words) - {" "}


def test_the_catalogue_says_what_can_be_read(stub: Stub) -> None:
    (text,) = (task for task in stub.GetCatalog(catalog_pb2.GetCatalogRequest()).tasks if task.name == "ocr")
    assert set(text.scripts) == {"Latn", "Hans", "Hant", "Jpan"}
    assert {"page_pixels", "letter_height_pixels", "lines"} <= {limit.name for limit in text.limits}
