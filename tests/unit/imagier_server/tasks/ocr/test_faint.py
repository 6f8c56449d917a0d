# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from imagier_server.tasks.ocr import faint
from imagier_server.tasks.ocr.faint import bring_out
from PIL import Image, ImageDraw, ImageFont


def page(ink: int, noise: float, paper: int = 255, size: tuple[int, int] = (400, 160)) -> npt.NDArray[np.uint8]:
    picture = Image.new("L", size, paper)
    ImageDraw.Draw(picture).multiline_text((20, 20), "Fresh bread\nat seven", ink, ImageFont.load_default(40))
    grain = np.random.default_rng(7).normal(0, noise, (*picture.size[::-1], 1))
    return np.clip(np.asarray(picture)[..., None] + grain, 0, 255).astype(np.uint8).repeat(3, axis=-1)


def clarity(pixels: npt.NDArray[np.uint8], ink: npt.NDArray[np.bool_]) -> float:
    """Distance of ink and paper, in deviations of the paper."""
    grey = pixels.mean(axis=-1)
    return float((grey[~ink].mean() - grey[ink].mean()) / max(grey[~ink].std(), 1.0))


@pytest.mark.parametrize(("ink", "noise", "paper"), [(200, 35.0, 255), (238, 6.0, 255), (160, 25.0, 200)])
def test_faint_ink_stands_out_afterwards(ink: int, noise: float, paper: int):
    worn = page(ink, noise, paper)
    inked = page(0, 0)[..., 0] < 128
    found = bring_out(worn)
    assert found
    assert clarity(found.to_find, inked) > 2 * clarity(worn, inked)
    assert clarity(found.to_read, inked) > 1.3 * clarity(worn, inked)
    for pixels in (found.to_find, found.to_read):
        assert pixels.shape == worn.shape
        assert pixels.min() == 0
        assert pixels.max() == 255


@pytest.mark.parametrize(
    ("ink", "noise"),
    [
        pytest.param(20, 0.0, id="clear"),
        pytest.param(232, 0.0, id="pale, which is read as it is"),
        pytest.param(60, 40.0, id="grainy, but dark"),
    ],
)
def test_other_pages_are_left_alone(ink: int, noise: float):
    assert bring_out(page(ink, noise)) is None


def test_a_photograph_is_left_alone():
    blocks = np.random.default_rng(3).integers(0, 256, (9, 12, 3), np.uint8)
    assert bring_out(blocks.repeat(40, axis=0).repeat(40, axis=1)) is None


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (2, 2), (9, 7)])
def test_the_smallest_pictures_do_no_harm(size: tuple[int, int]):
    width, height = size
    found = bring_out(np.random.default_rng(3).integers(100, 140, (height, width, 3), np.uint8))
    assert found is None or found.to_read.shape == (height, width, 3)


def test_lines_are_looked_for_in_few_pixels(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(faint, "MAX_PIXELS", 16_000)
    worn = page(200, 60.0)
    found = bring_out(worn)
    assert found
    assert found.scale == 0.5
    assert found.to_find.shape == (80, 200, 3)
    assert found.to_read.shape == worn.shape
