# SPDX-License-Identifier: Apache-2.0
"""The OCR task from end to end before scripted models."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from imagier_server.errors import EngineUnavailableError, InvalidRequestError
from imagier_server.messages import Picture
from imagier_server.tasks.ocr.canvases import CANVAS_SIDES
from imagier_server.tasks.ocr.finding import DETECTOR
from imagier_server.tasks.ocr.lines import HEIGHT, ORIENTER_ROWS, ORIENTER_WIDTH, RECOGNIZER_ROWS, WIDTHS
from imagier_server.tasks.ocr.recognizers import Recognizer
from imagier_server.tasks.ocr.requests import IN_FLIGHT
from imagier_server.tasks.ocr.task import (
    FURTHER,
    ORIENTER,
    RECOGNIZER,
    OcrTask,
)
from imagier_server.tasks.ocr.values import Effort, OcrOptions, Text
from imagier_server.tasks.task import Task
from support.scripted_ocr import MANY, Scripted

pytestmark = pytest.mark.unit

TASK: Task[OcrOptions, Text] = OcrTask((Recognizer(RECOGNIZER, ("a", "b", "人", " ")),))
DEFAULTS = OcrOptions()


def read(
    models: Scripted, options: OcrOptions = DEFAULTS, size: tuple[int, int] = (1600, 1600), enlarge: int = 1
) -> Text:
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    return asyncio.run(TASK.run(Picture(pixels, size[0] * enlarge, size[1] * enlarge), options, (), models))


def test_lines_are_found_and_read_in_order():
    text = read(Scripted([(100, 300, 400, 320), (100, 100, 300, 120)]))
    assert [line.text for line in text.lines] == ["a b人", "a b人"]
    assert [line.polygon[0].y for line in text.lines] == sorted(line.polygon[0].y for line in text.lines)
    assert 0.5 < text.lines[0].confidence < 1
    assert text.lines[0].words == ()


def test_no_text_asks_no_further_model():
    models = Scripted([])
    assert read(models) == Text(())
    assert [model for model, _ in models.asked] == [DETECTOR]


@pytest.mark.parametrize("size", [(1, 1), (20000, 1), (1, 20000), (2, 300)])
def test_odd_pictures_are_read(size: tuple[int, int]):
    text = read(Scripted([(0, 0, 700, 700)]), size=size)
    assert all(0 <= point.x <= size[0] and 0 <= point.y <= size[1] for line in text.lines for point in line.polygon)


def test_polygons_are_in_the_full_pictures_pixels():
    once = read(Scripted([(100, 100, 300, 120)]))
    thrice = read(Scripted([(100, 100, 300, 120)]), enlarge=3)
    for point, enlarged in zip(once.lines[0].polygon, thrice.lines[0].polygon, strict=True):
        assert (enlarged.x, enlarged.y) == pytest.approx((3 * point.x, 3 * point.y))


def test_words_cover_their_line():
    (line,) = read(Scripted([(100, 100, 300, 120)]), OcrOptions(words=True)).lines
    assert [word.text for word in line.words] == ["a", "b", "人"]
    assert line.words[0].polygon[0].x == pytest.approx(line.polygon[0].x)
    assert line.words[-1].polygon[1].x == pytest.approx(line.polygon[1].x)
    lefts = [word.polygon[0].x for word in line.words]
    assert lefts == sorted(lefts)


def test_doubtful_and_empty_lines_are_dropped():
    assert read(Scripted([(100, 100, 300, 120)], confidence=0.49)).lines == ()
    (doubtful,) = read(Scripted([(100, 100, 300, 120)], confidence=0.49), OcrOptions(min_confidence=0.01)).lines
    assert 0.01 < doubtful.confidence < 0.5
    assert read(Scripted([(100, 100, 300, 120)]), OcrOptions(min_confidence=0.95)).lines == ()
    assert read(Scripted([(100, 100, 300, 120)], tokens=[0]), OcrOptions(min_confidence=0.0)).lines == ()
    assert read(Scripted([(100, 100, 300, 120)], tokens=[4]), OcrOptions(min_confidence=0.0)).lines == ()


def test_what_makes_no_sense_is_read_from_the_other_end_too():
    sure, unsure = Scripted([(100, 100, 300, 120)]), Scripted([(100, 100, 300, 120)], confidence=0.49)
    read(sure)
    read(unsure)
    assert [model for model, _ in sure.asked].count(RECOGNIZER) == 1
    assert [model for model, _ in unsure.asked].count(RECOGNIZER) == 2


def rows_read(models: Scripted) -> int:
    return sum(shape[0] for model, shape in models.asked if model == RECOGNIZER)


def test_on_a_page_that_makes_no_sense_few_lines_are_read_from_the_other_end_too():
    models = Scripted(MANY, confidence=0.49)
    read(models)
    assert rows_read(models) == len(MANY) + FURTHER < 2 * len(MANY)


@dataclass
class SureIfDarkFirst(Scripted):
    """Models that make sense only of lines that begin where the page is dark."""

    async def infer(self, model: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        answer = dict(await super().infer(model, inputs))
        if model == RECOGNIZER:
            answer["confidences"] = np.where(inputs["pixels"][:, :1, :1, 0] < 100, answer["confidences"], 0.1)[:, 0]
        return answer


def test_where_lines_make_sense_from_the_other_end_all_are_read_from_there():
    pixels = np.zeros((1600, 1600, 3), np.uint8)
    pixels[:, np.arange(1600) % 480 < 240] = 255
    models = SureIfDarkFirst(MANY)
    text = asyncio.run(TASK.run(Picture(pixels, 1600, 1600), DEFAULTS, (), models))
    assert len(text.lines) == len(MANY) > FURTHER
    assert all(line.polygon[0].x > line.polygon[1].x for line in text.lines)


def test_a_word_is_no_surer_than_its_lines_few_letters():
    (line,) = read(Scripted([(100, 100, 700, 120)], tokens=[1]), OcrOptions(words=True, min_confidence=0.0)).lines
    assert line.confidence < 0.5
    assert [word.confidence for word in line.words] == [line.confidence]


def looks(height: int, effort: Effort = Effort.BALANCED) -> int:
    """How many canvases the detector sees of a photograph with a core of this height."""
    models = Scripted([(100, 100, 300, 100 + height)] if height else [])
    read(models, OcrOptions(effort=effort), size=(3000, 2000))
    return [model for model, _ in models.asked].count(DETECTOR)


def test_small_print_is_looked_at_closer():
    assert looks(3) > looks(20)


def test_a_photograph_without_text_is_seen_at_a_glance():
    assert looks(0) == looks(20) == looks(3, Effort.FAST) == 1


def test_a_thorough_look_begins_nearer_by():
    assert looks(0, Effort.THOROUGH) > looks(0)


def test_a_page_upside_down_is_read_from_its_other_end():
    upright = read(Scripted([(100, 100, 300, 120), (100, 200, 300, 220)]))
    turned = read(Scripted([(100, 100, 300, 120), (100, 200, 300, 220)], upside_down=1.0))
    assert turned.lines[0].polygon[0] == upright.lines[1].polygon[2]


def test_requests_of_one_picture_are_bounded():
    cores = [(20 + 240 * x, 20 + 24 * y, 40 + 240 * x + 10 * x, 36 + 24 * y) for x in range(3) for y in range(30)]
    models = Scripted(cores)
    assert len(read(models).lines) == len(cores)
    assert 1 < models.most_at_once <= IN_FLIGHT


def test_of_a_page_full_of_long_lines_few_are_cut_out_at_a_time():
    page = Picture(np.zeros((2000, 2000, 3), np.uint8), 2000, 2000)
    models = Scripted([(80, y, 750, y + 3) for y in range(0, 768, 6)], tokens=[])  # on each of several tiles
    tracemalloc.start()
    try:
        asyncio.run(TASK.run(page, OcrOptions(effort=Effort.THOROUGH), (), models))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(shape[0] for _, shape in models.asked if shape[2] == WIDTHS[-1]) > 400
    assert peak < 64 << 20  # together they are more than 400 * 48 * 2560 * 3 bytes


@pytest.mark.parametrize("model", [DETECTOR, ORIENTER, RECOGNIZER])
def test_a_models_failure_is_the_tasks_own(model: str):
    with pytest.raises(EngineUnavailableError):
        read(Scripted([(100, 100, 300, 120)], broken=model))


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_confidence_out_of_range_is_refused(value: float):
    with pytest.raises(InvalidRequestError) as refused:
        TASK.check(OcrOptions(min_confidence=value))
    assert refused.value.field == "ocr.min_confidence"


def test_options_in_range_pass():
    TASK.check(OcrOptions())
    TASK.check(OcrOptions(min_confidence=0.0, words=True))
    TASK.check(OcrOptions(min_confidence=1.0))
    TASK.check(OcrOptions(effort=Effort.FAST))


def test_an_effort_that_is_not_known_is_refused():
    with pytest.raises(InvalidRequestError) as refused:
        TASK.check(OcrOptions(effort=None))
    assert refused.value.field == "ocr.effort"


def test_the_catalogue_says_what_is_read_and_within_what():
    task = OcrTask((Recognizer(RECOGNIZER, (), ("zh-Hans", "en", "fr", "ja")),))
    assert task.scripts == ("Hans", "Latn", "Jpan")
    assert (task.languages, task.models) == (("zh-Hans", "en", "fr", "ja"), OcrTask.models)
    limits = {limit.name: limit.value for limit in task.limits}
    assert limits == {
        "page_pixels": 16_000_000,
        "letter_height_pixels": 8,
        "letter_share_fast": 0.010,
        "letter_share_balanced": 0.008,
        "letter_share_thorough": 0.005,
        "lines": 1000,
        "line_length_heights": pytest.approx(WIDTHS[-1] / HEIGHT),
    }


def config(model: str) -> str:
    return (Path(__file__).parents[5] / "model_repository" / model / "config.pbtxt").read_text()


@pytest.mark.parametrize(("model", "rows"), [(ORIENTER, ORIENTER_ROWS), (RECOGNIZER, RECOGNIZER_ROWS)])
def test_batches_are_as_large_as_the_models_allow(model: str, rows: int):
    assert f"max_batch_size: {rows}\n" in config(model)


def test_every_shape_is_warmed_up():
    assert all(f"dims: [ {HEIGHT}, {width}, 3 ]" in config(RECOGNIZER) for width in WIDTHS)
    assert f"dims: [ {HEIGHT}, {ORIENTER_WIDTH}, 3 ]" in config(ORIENTER)
    assert all(
        f"dims: [ {height}, {width}, 3 ]" in config(DETECTOR) for height in CANVAS_SIDES for width in CANVAS_SIDES
    )


def test_blurred_letters_of_a_faint_page_are_trusted_more():
    grain = np.random.default_rng(3).normal(0, 35, (400, 600, 1))
    grey = np.full((400, 600, 1), 230.0)
    grey[100:120, 100:300] = 190
    page = np.clip(grey + grain, 0, 255).astype(np.uint8).repeat(3, axis=-1)
    options = OcrOptions(words=True, min_confidence=0.0)

    def confidences(effort: Effort) -> tuple[float, float]:
        models = Scripted([(100, 100, 300, 120)], tokens=[1, 3, 1, 2] * 3, confidence=0.9)
        (line, *_) = asyncio.run(TASK.run(Picture(page, 600, 400), replace(options, effort=effort), (), models)).lines
        return line.confidence, max(word.confidence for word in line.words)

    as_it_is, brought_out = confidences(Effort.FAST), confidences(Effort.BALANCED)
    assert all(after > before + 0.1 for before, after in zip(as_it_is, brought_out, strict=True))
