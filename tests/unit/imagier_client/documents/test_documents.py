# SPDX-License-Identifier: Apache-2.0
"""Where documents are written, and that they are the picture's."""

from __future__ import annotations

from pathlib import Path

import pytest
from imagier.v1.annotator_pb2 import AnnotateResponse
from imagier_client.codec import decode_annotation
from imagier_client.documents.documents import STDOUT, Documents
from imagier_client.errors import UnavailableError
from imagier_client.messages import Annotation
from lxml import etree


@pytest.fixture
def annotation() -> Annotation:
    made = AnnotateResponse(width=4, height=3)
    made.ocr.SetInParent()
    return decode_annotation(made)


def touched(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return [folder / name for name in names]


def written(documents: Documents, paths: list[Path], annotation: Annotation) -> list[str]:
    return [target.name for path in paths if (target := documents.write(path, annotation))]


def test_beside_each_picture(tmp_path: Path, annotation: Annotation) -> None:
    pictures = touched(tmp_path, "page.tif", "notes.txt")
    touched(tmp_path, "page.txt")
    assert written(Documents("alto", None, pictures), pictures, annotation) == ["page.alto.xml", "notes.alto.xml"]
    assert written(Documents("hocr", None, pictures), pictures, annotation) == ["page.hocr", "notes.hocr"]
    assert "page.tif" in (tmp_path / "page.hocr").read_text("utf-8")
    assert etree.parse(tmp_path / "page.alto.xml").findtext(".//{*}fileName") == "page.tif"


def test_two_pictures_of_one_name_keep_theirs_whichever_is_read(tmp_path: Path, annotation: Annotation) -> None:
    tif, jpg = touched(tmp_path, "page.tif", "Page.jpg")
    assert written(Documents("alto", None, [jpg]), [jpg], annotation) == ["Page.jpg.alto.xml"]
    assert written(Documents("alto", None, [tif]), [tif], annotation) == ["page.tif.alto.xml"]


def test_a_picture_is_never_overwritten(tmp_path: Path, annotation: Annotation) -> None:
    (picture,) = touched(tmp_path, "page.hocr")
    assert written(Documents("hocr", None, [picture]), [picture], annotation) == ["page-2.hocr"]
    assert picture.read_bytes() == b""


def test_in_a_folder(tmp_path: Path, annotation: Annotation) -> None:
    pictures = touched(tmp_path / "a", "1.tif") + touched(tmp_path / "b", "1.tif")
    out = tmp_path / "deep" / "out"
    assert written(Documents("alto", out, pictures), pictures, annotation) == ["1.alto.xml", "1-2.alto.xml"]
    assert sorted(path.name for path in out.iterdir()) == ["1-2.alto.xml", "1.alto.xml"]


def test_a_picture_that_vanished_with_its_folder(tmp_path: Path, annotation: Annotation) -> None:
    with pytest.raises(FileNotFoundError):
        Documents("alto", None, []).write(tmp_path / "gone" / "a.tif", annotation)


def test_to_standard_output(tmp_path: Path, annotation: Annotation, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert written(Documents("hocr", STDOUT, []), [tmp_path / "page.tif"], annotation) == []
    assert etree.fromstring(capfdbinary.readouterr().out) is not None
    assert list(tmp_path.iterdir()) == []


def test_no_document_of_a_failed_task(tmp_path: Path) -> None:
    made = AnnotateResponse(width=4, height=3)
    made.ocr.status.code = 14
    with pytest.raises(UnavailableError):
        Documents("alto", None, []).write(tmp_path / "page.tif", decode_annotation(made))
    assert list(tmp_path.iterdir()) == []
