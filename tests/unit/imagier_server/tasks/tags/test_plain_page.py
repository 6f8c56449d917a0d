# SPDX-License-Identifier: Apache-2.0
"""Pages of nothing but lettering, drawn here, and what must not be taken for one."""

from __future__ import annotations

import numpy as np
import pytest
import samples
from imagier_server.tasks.tags.plain_page import is_plain_page
from PIL import Image, ImageDraw, ImageFont

SIDE = 260
WHITE, BLACK, NAVY = (255, 255, 255), (0, 0, 0), (13, 17, 40)


def page(text: str, size: int, paper: tuple[int, int, int] = WHITE, ink: tuple[int, int, int] = BLACK) -> np.ndarray:
    """Drawn four times as large and made small, as a page is on its way to the tagger."""
    canvas = Image.new("RGB", (4 * SIDE, 4 * SIDE), paper)
    font = ImageFont.load_default(4 * size)
    ImageDraw.Draw(canvas).multiline_text((2 * SIDE, 2 * SIDE), text, ink, font, anchor="mm", spacing=size)
    return np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def scene(seed: int = 0) -> Image.Image:
    """Shades of all sizes, as of something photographed."""
    dice = np.random.default_rng(seed)
    layers = [
        Image.fromarray(dice.integers(0, 256, (cells, cells, 3), np.uint8)).resize(
            (SIDE, SIDE), Image.Resampling.BICUBIC
        )
        for cells in (3, 12, 60)
    ]
    return Image.blend(Image.blend(layers[0], layers[1], 0.4), layers[2], 0.2)


PROSE = "\n".join(["The ferry leaves at a quarter past seven"] * 14)


@pytest.mark.parametrize(("paper", "ink"), [(WHITE, BLACK), (NAVY, (230, 230, 230)), ((250, 240, 200), (120, 20, 20))])
@pytest.mark.parametrize(
    ("text", "size"), [("%", 20), ("%", 220), ("W", 330), ("RUE DES\nLILAS", 40), (PROSE, 11), ("", 10)]
)
def test_lettering_of_any_size_on_plain_paper(
    text: str, size: int, paper: tuple[int, int, int], ink: tuple[int, int, int]
) -> None:
    assert is_plain_page(page(text, size, paper, ink))


def test_a_scanners_noise_changes_nothing() -> None:
    noise = np.random.default_rng(0).normal(0, 2, (SIDE, SIDE, 3))
    assert is_plain_page((page(PROSE, 11, (244, 242, 238)) + noise).clip(0, 255).astype(np.uint8))


def test_switches_and_bars_of_a_screen_are_flat() -> None:
    screen = page("Wi-Fi\n\nBluetooth\n\nAirplane mode", 16).copy()
    screen[:30], screen[100:120, 200:240] = (0, 122, 255), (76, 175, 80)
    assert is_plain_page(screen)


def test_a_receipt_on_a_wooden_table_is_a_photograph() -> None:
    """Our own drawing of one, at least."""
    assert not is_plain_page(np.asarray(samples.receipt().resize((297, 396)))[68:328, 18:278])


@pytest.mark.parametrize("share", [1.0, 0.6, 0.3, 0.15])
@pytest.mark.parametrize("paper", [WHITE, BLACK, (120, 170, 230)])
def test_a_photograph_is_none_however_small_on_its_paper(share: float, paper: tuple[int, int, int]) -> None:
    canvas = Image.new("RGB", (SIDE, SIDE), paper)
    side = round(SIDE * share)
    canvas.paste(scene().resize((side, side)), ((SIDE - side) // 2,) * 2)
    assert not is_plain_page(np.asarray(canvas))


def test_a_photograph_among_lettering_is_seen() -> None:
    mixed = Image.fromarray(page(PROSE, 11))
    mixed.paste(scene().resize((70, 70)), (95, 95))
    assert not is_plain_page(np.asarray(mixed))


def test_something_photographed_on_white_has_shades() -> None:
    """A round thing, lit from one side."""
    down, across = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    ball = np.hypot(down, across) < 50
    shade = np.where(ball, 120 + across + 0.5 * down, 255)
    assert not is_plain_page(np.repeat(shade[..., None], 3, axis=2).clip(0, 255).astype(np.uint8))
