# SPDX-License-Identifier: Apache-2.0
"""hOCR that hocr-tools, a reader that is not ours, finds in order and reads as it was written."""

from __future__ import annotations

import io

import pytest
from google.protobuf import json_format
from hocr_tools_lib.tools.hocr_check import Checker
from hocr_tools_lib.tools.hocr_lines import lines
from imagier.v1.annotator_pb2 import AnnotateResponse
from imagier_client.codec import decode_annotation
from imagier_client.documents.hocr import CAPABILITIES, to_hocr
from lxml import etree

CORNERS = ((0, 0), (1, 0), (1, 1), (0, 1))


def item(text: str, left: float, top: float, width: float, height: float, first: int = 0, **more: object) -> dict:
    """A line or a word; `first` is the corner where reading begins."""
    places = [CORNERS[(first + n) % 4] for n in range(4)]
    polygon = [{"x": left + x * width, "y": top + y * height} for x, y in places]
    return {"text": text, "confidence": 0.876, "polygon": polygon, "normalizedPolygon": polygon, **more}


def document(*found: dict, image: str = "page.tif", **more: object) -> etree._Element:
    made = AnnotateResponse(width=640, height=480)
    made.ocr.SetInParent()
    json_format.ParseDict({"ocr": {"lines": list(found)}, **more}, made)
    written = to_hocr(decode_annotation(made, ("en",)), image)
    return etree.fromstring(written)


def titles(root: etree._Element, name: str) -> list[str]:
    return [found.get("title") for found in root.iterfind(f".//*[@class='{name}']")]


def meta(root: etree._Element) -> dict[str, str]:
    return {found.get("name"): found.get("content") for found in root.iterfind(".//{*}meta") if found.get("name")}


def test_pages_blocks_lines_and_words() -> None:
    words = [item("Rue", 10, 50, 60, 20), item("des", 80, 50, 60, 20)]
    root = document(item("Rue des", 10, 50, 130, 20, words=words))
    assert titles(root, "ocr_page") == ['image "page.tif"; bbox 0 0 640 480; ppageno 0']
    assert titles(root, "ocr_carea") == titles(root, "ocr_par") == ["bbox 10 50 140 70"]
    (line,) = titles(root, "ocr_line")
    assert line == "bbox 10 50 140 70; poly 10 50 140 50 140 70 10 70; baseline 0.000 0"
    assert titles(root, "ocrx_word")[0] == "bbox 10 50 70 70; poly 10 50 70 50 70 70 10 70; x_wconf 88"


def test_another_reader_reads_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    chinese = [item(text, 10 + 20 * n, 80, 20, 20) for n, text in enumerate("中国")]
    latin = item("OCR & <b>", 60, 80, 60, 20)
    made = AnnotateResponse(width=640, height=480)
    read = {"lines": [item("Rue des Lilas", 10, 50, 200, 20), item("中国 OCR & <b>", 10, 80, 110, 20)]}
    read["lines"][1]["words"] = [*chinese, latin]
    json_format.ParseDict({"ocr": read}, made)
    written = to_hocr(decode_annotation(made), "page.tif")
    assert list(lines(io.BytesIO(written))) == ["Rue des Lilas", "中国 OCR & <b>"]
    Checker(io.BytesIO(written)).check()
    verdicts = capsys.readouterr().err.splitlines()
    assert len(verdicts) > 5
    assert [verdict for verdict in verdicts if not verdict.startswith("ok ")] == []


def test_what_is_used_is_announced() -> None:
    words = [item(text, 10 + 20 * n, 80, 20, 20) for n, text in enumerate("中国")]
    root = document(item("中国", 10, 80, 40, 20, words=words))
    classes = {found.get("class") for found in root.iter() if found.get("class")}
    assert classes <= set(CAPABILITIES.split())
    assert meta(root)["ocr-capabilities"] == CAPABILITIES
    assert titles(root, "ocrx_cinfo") == ["x_bboxes 10 80 30 100; x_confs 88", "x_bboxes 30 80 50 100; x_confs 88"]


def test_who_read_it_and_in_which_language() -> None:
    model = {"name": "text_recognizer", "version": "recognizer 2"}
    root = document(item("ストリート", 10, 80, 90, 20))
    assert meta(root)["ocr-langs"] == "ja"
    assert [found.get("lang") for found in root.iterfind(".//*[@class='ocr_par']")] == ["ja"]
    made = AnnotateResponse(width=1, height=1)
    json_format.ParseDict({"ocr": {"models": [model]}}, made)
    root = etree.fromstring(to_hocr(decode_annotation(made), "a"))
    assert meta(root)["ocr-system"].startswith("imagier ")
    assert meta(root)["ocr-system"].endswith("(text_recognizer recognizer 2)")
    assert meta(root)["ocr-langs"] == "unknown"


def test_tags_are_keywords() -> None:
    tags = {"tags": [{"id": "n1", "names": {"en": "street"}}, {"id": "n2", "names": {"en": "sign"}}]}
    assert meta(document(tags=tags))["keywords"] == "street, sign"


@pytest.mark.parametrize(
    ("first", "size", "direction"),
    [
        (0, (200, 20), "baseline 0.000 0"),
        (1, (20, 200), "textangle 270"),
        (2, (200, 20), "textangle 180"),
        (3, (20, 200), "textangle 90"),
    ],
)
def test_turned_lines_say_their_angle(first: int, size: tuple[int, int], direction: str) -> None:
    (line,) = titles(document(item("Rue", 100, 100, *size, first)), "ocr_line")
    assert line.split("; ")[2:] == [direction]


def test_a_slanted_line_says_its_slope() -> None:
    slanted = item("Rue", 0, 0, 1, 1)
    places = ((100, 100), (300, 120), (298, 140), (98, 120))
    slanted["polygon"] = [{"x": x, "y": y} for x, y in places]
    (line,) = titles(document(slanted), "ocr_line")
    assert line.split("; ")[2:] == ["baseline 0.100 -20"]


def test_a_column_of_characters_is_not_turned() -> None:
    (line,) = titles(document(item("有評是非", 100, 100, 20, 200, 1)), "ocr_line")
    assert line.split("; ")[2:] == []


def test_a_picture_without_text_is_an_empty_page() -> None:
    root = document()
    (page,) = root.iterfind(".//*[@class='ocr_page']")
    assert len(page) == 0


@pytest.mark.parametrize(("name", "written"), [('a"b;.jpg', "a%22b;.jpg"), ("caf\udce9\x01", "caf\ufffd\ufffd")])
def test_odd_names(name: str, written: str) -> None:
    assert titles(document(image=name), "ocr_page")[0].startswith(f'image "{written}"; bbox')
