# SPDX-License-Identifier: Apache-2.0
"""Drawn copies: the right pixels change, the right files are written, no other file is touched."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from imagier.v1.annotator_pb2 import AnnotateResponse
from imagier_client.codec import decode_annotation
from imagier_client.drawing.drawing import DrawingError, Drawings, annotated, colour_of
from imagier_client.messages import Annotation
from PIL import Image, ImageChops, ImageCms

BOX = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.5), (0.25, 0.5))


def annotation(*boxes: tuple[tuple[float, float], ...]) -> Annotation:
    made = AnnotateResponse(width=1000, height=800)
    made.tags.tags.add(id="n1", score=0.5).names["en"] = "cat"
    made.ocr.SetInParent()
    for box in boxes:
        line = made.ocr.lines.add(text="word", confidence=0.9)
        for x, y in box:
            line.normalized_polygon.add(x=x, y=y)
    return decode_annotation(made, ("en",))


@pytest.mark.parametrize("ground", ["black", "white", "navy", "gray", "red", "lime"])
def test_a_frame_and_its_number_can_be_seen_on_any_ground(ground: str) -> None:
    picture = Image.new("RGB", (1000, 800), ground)
    drawn = annotated(picture, annotation(BOX))
    assert drawn.height == 800
    changed = ImageChops.difference(drawn.crop((0, 0, 1000, 800)), picture).convert("L").point(lambda v: 255 * (v > 40))
    left, top, right, bottom = changed.getbbox()
    assert 200 < left < 246  # the number, before the box
    assert (top, right, bottom) == (pytest.approx(200, abs=4), pytest.approx(750, abs=4), pytest.approx(400, abs=4))
    for corner in ((250, 200), (500, 200), (750, 300), (500, 400)):
        assert changed.crop((corner[0] - 4, corner[1] - 4, corner[0] + 4, corner[1] + 4)).getbbox()
    # What is read stays readable: nothing is drawn inside.
    assert changed.crop((256, 206, 744, 394)).getbbox() is None


def test_the_margin_holds_the_list() -> None:
    drawn = annotated(Image.new("RGB", (1000, 800)), annotation(BOX))
    margin = drawn.crop((1001, 0, *drawn.size))
    assert 300 < margin.width < 500
    colours = margin.getcolors(2**20)
    assert colours is not None
    assert max(colours)[1] == (255, 255, 255)
    assert colour_of(1) in {colour for _, colour in colours}


def test_the_list_is_below_a_wide_picture() -> None:
    drawn = annotated(Image.new("RGB", (2000, 300), "teal"), annotation(BOX))
    assert drawn.width == 2000
    assert drawn.getpixel((1999, 299)) == (0, 128, 128)
    below = drawn.crop((0, 301, *drawn.size))
    assert colour_of(1) in {colour for _, colour in below.getcolors(2**20) or []}


def test_a_small_picture_is_enlarged_and_a_number_at_its_edge_goes_outside() -> None:
    drawn = annotated(Image.new("RGB", (300, 200), "teal"), annotation(((0, 0.1), (1, 0.1), (1, 0.9), (0, 0.9))))
    assert drawn.height == 600
    assert drawn.getpixel((2, 590)) == (255, 255, 255)
    assert drawn.getpixel((40, 590)) == (0, 128, 128)


def test_a_huge_picture_is_reduced() -> None:
    drawn = annotated(Image.new("RGB", (50, 6000)), annotation(BOX))
    assert drawn.height == 5000


def rectangle(left: float, top: float, width: float, height: float) -> tuple[tuple[float, float], ...]:
    return ((left, top), (left + width, top), (left + width, top + height), (left, top + height))


def test_numbers_of_dense_print_do_not_cover_each_other() -> None:
    print_of_30 = [rectangle(0.2, 0.02 + row * 0.03, 0.5, 0.028) for row in range(30)]
    drawn = annotated(Image.new("RGB", (1000, 800), "gray"), annotation(*print_of_30))
    # Each number stands before its line: patches of its colour, with the rims of others between them.
    for row in range(30):
        before = drawn.crop((170, round((0.02 + row * 0.03) * 800), 198, round((0.048 + row * 0.03) * 800)))
        assert before.getcolors()
        counts = {colour: count for count, colour in before.getcolors() or []}
        assert counts.get(colour_of(row + 1), 0) > 30


def test_a_number_gives_way_to_the_line_before_it() -> None:
    beside = annotation(rectangle(0.1, 0.4, 0.4, 0.1), rectangle(0.5, 0.4, 0.4, 0.1))
    drawn = annotated(Image.new("RGB", (1000, 800), "gray"), beside)
    # The second's number is not in the first's end, but after its own.
    assert colour_of(2) not in {colour for _, colour in drawn.crop((450, 326, 494, 394)).getcolors(2**20) or []}
    assert colour_of(2) in {colour for _, colour in drawn.crop((906, 330, 930, 390)).getcolors(2**20) or []}


def test_boxes_that_leave_the_picture_or_have_no_width_are_no_failure() -> None:
    odd = annotation(((-0.1, -0.1), (1.2, 0.1), (1.1, 1.3), (-0.2, 1.1)), ((0.5, 0.5),) * 4)
    assert annotated(Image.new("RGB", (50, 2000)), odd).height == 2000


def save(path: Path, size: tuple[int, int] = (40, 30), **options: object) -> Path:
    Image.new("RGB", size, "teal").save(path, **options)
    return path


def test_names_are_unique_and_no_input_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    pictures = [
        save(tmp_path / "x.png"),
        save(tmp_path / "X.png"),
        save(tmp_path / "b" / "x.png"),
        save(tmp_path / "x.jpg"),
        save(tmp_path / "x.annotated.png"),
    ]
    before = [path.read_bytes() for path in pictures]
    drawings = Drawings(tmp_path, pictures)
    written = [drawings.draw(path, annotation(BOX)).name for path in pictures]
    assert written == [
        "x-2.annotated.png",
        "X-3.annotated.png",
        "x-4.annotated.png",
        "x.annotated.jpg",
        "x.annotated.annotated.png",
    ]
    assert [path.read_bytes() for path in pictures] == before
    assert not list(tmp_path.glob(".*"))


def test_a_second_run_writes_the_same_files(tmp_path: Path) -> None:
    picture = save(tmp_path / "x.png")
    for _ in range(2):
        Drawings(tmp_path / "out", [picture]).draw(picture, annotation(BOX))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.annotated.png"]


@pytest.mark.parametrize(("longest", "drawn_high"), [(1000, 1000), (6000, 5000)])
def test_orientation_is_applied(tmp_path: Path, longest: int, drawn_high: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = save(tmp_path / "x.jpg", (longest, 600), exif=exif)
    drawn = Image.open(Drawings(tmp_path, [picture]).draw(picture, annotation(BOX)))
    assert drawn.height == drawn_high
    assert drawn.getexif().get(0x0112) is None


def test_orientation_is_applied_where_other_metadata_are_broken(tmp_path: Path) -> None:
    words_for_a_resolution = struct.pack("<HHI4s", 0x011A, 2, 4, b"abc\0")
    entries = struct.pack("<H", 2) + struct.pack("<HHII", 0x0112, 3, 1, 6) + words_for_a_resolution
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + entries + bytes(4)
    picture = save(tmp_path / "x.jpg", (1000, 600), exif=exif)
    drawn = Image.open(Drawings(tmp_path, [picture]).draw(picture, annotation(BOX)))
    assert drawn.height == 1000


@pytest.mark.parametrize("wrong", [struct.error, TypeError, AttributeError, RuntimeError])
def test_whatever_pillow_raises_is_that_pictures_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: type[Exception]
) -> None:
    picture = save(tmp_path / "x.png", (10, 10))

    def broken(_: Image.Image) -> None:
        raise wrong(str(tmp_path))

    monkeypatch.setattr(Image.Image, "load", broken)
    with pytest.raises(DrawingError, match=r"^Pillow cannot read it$"):
        Drawings(tmp_path / "out", [picture]).draw(picture, annotation(BOX))


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "seen"),
    [
        ("RGBA", (255, 0, 0, 0), "png", (255, 255, 255)),
        ("P", 0, "gif", (0, 0, 0)),
        ("L", 128, "png", (128, 128, 128)),
        ("LA", (0, 0), "png", (255, 255, 255)),
        ("1", 1, "tiff", (255, 255, 255)),
        ("I;16", 32896, "png", (128, 128, 128)),
        ("CMYK", (0, 0, 0, 0), "jpg", (255, 255, 255)),
        ("F", 0.5, "tiff", (127, 127, 127)),
        ("F", 100.0, "tiff", (100, 100, 100)),
        ("I", 200, "tiff", (200, 200, 200)),
    ],
)
def test_any_kind_of_pixel(
    tmp_path: Path, mode: str, colour: float | tuple[int, ...], suffix: str, seen: tuple[int, int, int]
) -> None:
    picture = tmp_path / f"x.{suffix}"
    Image.new(mode, (1000, 800), colour).save(picture)
    drawn = Image.open(Drawings(tmp_path, [picture]).draw(picture, annotation(BOX)))
    assert drawn.getpixel((900, 700)) == pytest.approx(seen, abs=2)


def test_greys_of_more_than_8_bits_are_those_that_the_server_sees(tmp_path: Path) -> None:
    """The range comes from a 12-bit TIFF's own mark, or from what is there."""

    def drawn(values: tuple[float, float], kind: type, **options: object) -> list[int]:
        picture = Image.fromarray(np.repeat(np.array([values], kind).repeat(500, 1), 800, 0))
        picture.save(tmp_path / "x.tiff", **options)
        copy = Image.open(Drawings(tmp_path, []).draw(tmp_path / "x.tiff", annotation()))
        return [copy.getpixel(place)[0] for place in ((10, 400), (900, 400))]

    assert drawn((2048, 4095), np.uint16, tiffinfo={281: 4095}) == [127, 255]
    assert drawn((2048, 4095), np.uint16) == [7, 15]
    assert drawn((2048, 4095), np.uint16, tiffinfo={281: 4000}) == [7, 15], "a mark that lies"
    assert drawn((-1000.0, 1000.0), np.float32) == [0, 255]
    assert drawn((5.0, 500.0), np.float32) == [0, 255]


@pytest.mark.parametrize(("lettering", "ground"), [((255, 255, 255, 255), 0), ((20, 20, 20, 255), 255)])
def test_lettering_on_nothing_can_be_read(tmp_path: Path, lettering: tuple[int, ...], ground: int) -> None:
    picture = Image.new("RGBA", (1000, 800))
    picture.paste(lettering, (300, 300, 700, 320))
    picture.save(tmp_path / "x.png")
    drawn = Image.open(Drawings(tmp_path, []).draw(tmp_path / "x.png", annotation()))
    assert drawn.getpixel((10, 10)) == (ground,) * 3
    assert drawn.getpixel((500, 310)) == lettering[:3]


def test_the_colour_profile_is_kept(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = save(tmp_path / "x.jpg", icc_profile=profile)
    assert Image.open(Drawings(tmp_path, []).draw(picture, annotation())).info["icc_profile"] == profile


def test_text_that_no_font_has_is_remembered(tmp_path: Path) -> None:
    made = AnnotateResponse(width=40, height=30)
    made.ocr.lines.add(text="Rue")
    drawings = Drawings(tmp_path, [])
    for x, y in BOX:
        made.ocr.lines[0].normalized_polygon.add(x=x, y=y)
    drawings.draw(save(tmp_path / "x.png"), decode_annotation(made))
    assert not drawings.undrawn
    made.ocr.lines[0].text = "\U0010f123"
    drawings.draw(tmp_path / "x.png", decode_annotation(made))
    assert drawings.undrawn


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\nbroken", b"\xff\xd8\xff\xe0broken"])
def test_what_is_no_picture(tmp_path: Path, content: bytes) -> None:
    picture = tmp_path / "x.png"
    picture.write_bytes(content)
    with pytest.raises(DrawingError) as caught:
        Drawings(tmp_path / "out", [picture]).draw(picture, annotation(BOX))
    assert str(tmp_path) not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_a_picture_that_the_server_takes_is_not_too_large(tmp_path: Path) -> None:
    picture = tmp_path / "x.png"
    Image.new("1", (10_000, 9_900)).save(picture)
    assert Drawings(tmp_path / "out", [picture]).draw(picture, annotation(BOX)).exists()


def test_a_picture_that_has_vanished(tmp_path: Path) -> None:
    with pytest.raises(DrawingError, match="No such file"):
        Drawings(tmp_path / "out", []).draw(tmp_path / "x.png", annotation(BOX))


def test_heic_is_drawn_where_its_package_is(tmp_path: Path) -> None:
    Drawings(tmp_path, [])
    assert ".heic" in Image.registered_extensions()
