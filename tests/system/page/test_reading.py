# SPDX-License-Identifier: Apache-2.0
"""A picture in a real Chromium: brought, read by a real gateway, and its text where it stands."""

from __future__ import annotations

import cmath
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import json_format
from imagier.v1 import annotator_pb2
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from support.browser import PATIENCE, Browser
from support.page import ANSWERED, answered, bring, on_screen
from support.site import BLUE, BLUE_BOX, BLUE_TURN, RED, RED_BOX, SIZE, file_of, scene


def turned(corners: list[tuple[float, float]], box: tuple[float, ...], degrees: float) -> list[tuple[float, float]]:
    middle = complex(box[0] + box[2], box[1] + box[3]) / 2
    points = (middle + (complex(*corner) - middle) * cmath.exp(1j * math.radians(degrees)) for corner in corners)
    return [(point.real, point.imag) for point in points]


def corners_of(box: tuple[int, int, int, int]) -> list[tuple[float, float]]:
    left, top, right, bottom = box
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def test_a_dropped_photograph_is_read_and_its_text_is_drawn_where_it_stands(page: Browser) -> None:
    answer = answered(page)
    assert page.texts(".tag-name") == [tag["names"]["en"] for tag in answer["tags"]["tags"]]
    assert page.texts(".tag .score") == [f"{tag['score']:.0%}" for tag in answer["tags"]["tags"]]
    assert "cat" in page.texts(".tag-name")
    assert page.find(".sentence, .caption .none").text
    assert page.texts(".lines .words") == [RED, BLUE]
    assert "3 credits" in page.find(".totals").text
    assert "scene.png" in page.find("#about").text
    assert "800 × 600 pixels" in page.find("#about").text
    shown = on_screen(page)
    for line, corners in zip(answer["ocr"]["lines"], shown, strict=True):
        for told, (x, y) in zip(line["normalizedPolygon"], corners, strict=True):
            assert (x, y) == pytest.approx((told["x"], told["y"]), abs=0.002)
    drawn = [corners_of(RED_BOX), turned(corners_of(BLUE_BOX), BLUE_BOX, BLUE_TURN)]
    for expected, corners in zip(drawn, shown, strict=True):
        for (x, y), (u, v) in zip(expected, corners, strict=True):
            assert math.hypot(u * SIZE[0] - x, v * SIZE[1] - y) < 60, "a box keeps a margin"


def test_the_text_lies_on_its_letters_and_can_be_selected_there(page: Browser) -> None:
    answered(page)
    # Each line's letters fill its box: the middles of the two are one point.
    spans = page.script("""return [...document.querySelectorAll('.letters span')].map((span, index) => {
      const text = span.getBoundingClientRect(), box = document.querySelectorAll('polygon.line')[index].getBoundingClientRect();
      return [text.left - box.left, text.top - box.top, text.right - box.right, text.bottom - box.bottom];
    });""")
    assert all(abs(gap) < 4 for gaps in spans for gap in gaps), spans
    for index, text in enumerate((RED, BLUE)):
        left, middle, right = page.script(
            """
          const box = document.querySelectorAll('polygon.line')[arguments[0]];
          const [a, b, c, d] = [...box.points].map((point) => point.matrixTransform(box.getScreenCTM()));
          const at = (u) => [a.x + (b.x - a.x) * u + (d.x - a.x) / 2, a.y + (b.y - a.y) * u + (d.y - a.y) / 2];
          return [at(0.002), at(0.5), at(0.998)].map((place) => place.map(Math.round));""",
            index,
        )
        pointer = ActionChains(page.driver, duration=30).w3c_actions
        pointer.pointer_action.move_to_location(*left)
        pointer.pointer_action.pointer_down()
        pointer.pointer_action.move_to_location(*middle)
        pointer.pointer_action.move_to_location(*right)
        pointer.pointer_action.pointer_up()
        pointer.perform()
        assert page.script("return getSelection().toString()") == text
        assert page.script("return document.querySelectorAll('.lines li')[arguments[0]].className", index) == "on"
    page.script("getSelection().selectAllChildren(document.querySelector('.letters'))")
    assert page.script("return getSelection().toString()").split("\n") == [RED, BLUE]


@pytest.mark.parametrize("kind", ["paste", "choose"])
def test_a_picture_may_be_pasted_or_chosen(page: Browser, tmp_path: Path, kind: str) -> None:
    if kind == "paste":
        bring(page, file_of(scene()), kind="paste")
    else:
        (tmp_path / "été.png").write_bytes(file_of(scene()))
        page.find("#file").send_keys(str(tmp_path / "été.png"))
    page.until(ANSWERED)
    assert page.texts(".lines .words") == [RED, BLUE]


def test_an_example_is_there_for_who_has_no_picture(page: Browser) -> None:
    page.find("[data-example=street-sign]").click()
    page.until(ANSWERED)
    assert page.find("#about").text.startswith("street-sign.webp")
    assert page.script("return document.querySelector('#shown').naturalWidth") == 900


def test_a_caption_that_is_a_guess_is_shown_to_whoever_asks_for_it(page: Browser) -> None:
    page.find(".fine summary").click()
    page.find("[data-task=caption][data-option=min_score]").send_keys("1")
    answered(page)
    assert page.all(".sentence") == []
    page.find("#guess").click()
    page.until("document.querySelector('.sentence')")
    assert "a guess" in page.find(".caption .score").text
    assert page.script("return document.activeElement.id") == "again", "a keyboard goes on where the picture is"


def test_a_picture_held_askew_is_drawn_upright(page: Browser) -> None:
    stored = scene().transpose(Image.Transpose.ROTATE_270)  # EXIF's 8 turns it back
    exif = stored.getexif()
    exif[0x0112] = 8
    answered(page, file_of(stored, "JPEG", exif=exif, quality=95), name="turned.jpg", mime="image/jpeg")
    assert page.texts(".lines .words") == [RED, BLUE]
    (x, y), *_ = on_screen(page)[0]
    assert (x * SIZE[0], y * SIZE[1]) == pytest.approx(RED_BOX[:2], abs=40)


def test_what_a_browser_cannot_show_is_read_and_its_text_laid_out(page: Browser) -> None:
    answer = answered(page, file_of(scene(), "TIFF"), name="scan.tif", mime="image/tiff")
    assert "cannot show" in page.find("#blank").get_attribute("data-note")
    assert page.script(
        "const b = document.querySelector('#blank').getBoundingClientRect(); return b.width / b.height"
    ) == (pytest.approx(answer["width"] / answer["height"], abs=0.01))
    for line, corners in zip(answer["ocr"]["lines"], on_screen(page), strict=True):
        assert corners[0] == pytest.approx([line["normalizedPolygon"][0][axis] for axis in "xy"], abs=0.002)
    assert page.script("return getComputedStyle(document.querySelector('.letters span')).color") != "rgba(0, 0, 0, 0)"


def test_the_calls_to_copy_give_the_same_answer(page: Browser, tmp_path: Path) -> None:
    page.find(".fine summary").click()
    page.find("[data-task=tags][data-option=max_tags]").send_keys("3")
    page.find("[data-task=tags][data-option=deny]").send_keys('dog, it\'s; "odd" @x')
    page.find("[data-task=caption][data-option=include_guesses]").click()
    page.find("input[name=language][value=fr]").click()
    answer = answered(page, name="it's a scene.png")
    (tmp_path / "it's a scene.png").write_bytes(file_of(scene()))
    call = {kind: page.find(f"#call-{kind} pre").get_attribute("textContent") for kind in ("curl", "python", "grpcurl")}

    said = run(["bash", "-c", call["curl"]], tmp_path)
    for each in (told := json.loads(said), answer):
        del each["timings"]
    assert told == answer

    words = run([sys.executable, "-c", call["python"]], tmp_path)
    assert RED in words
    assert answer["caption"]["title"] in words
    assert "100% cat" in words

    before, _, after = call["grpcurl"].partition(" |\n")
    assert "imagier.v1.AnnotatorService/Annotate" in after
    request = json_format.Parse(run(["bash", "-c", before], tmp_path), annotator_pb2.AnnotateRequest())
    assert request.image == (tmp_path / "it's a scene.png").read_bytes()
    assert (request.tags.max_tags, list(request.tags.deny), list(request.languages)) == (
        3,
        ["dog", 'it\'s; "odd" @x'],
        ["en", "fr"],
    )


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout
