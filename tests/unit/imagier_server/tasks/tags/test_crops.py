# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from imagier_server.tasks.tags.crops import SIDE, prepare, scale
from PIL import Image
from support.shades import picture


@pytest.mark.parametrize(
    ("size", "crops"),
    [
        ((297, 297), 1),
        ((446, 297), 1),
        ((297, 594), 1),
        ((297, 600), 2),
        ((1000, 800), 1),
        ((3000, 1000), 2),
        ((3001, 1000), 3),
        ((20, 30), 1),
        ((1, 1), 1),
        ((20_000, 1), 6),
        ((1, 5000), 6),
    ],
)
def test_prepare_always_gives_the_models_input(size: tuple[int, int], crops: int) -> None:
    pixels = prepare(picture(*size))["pixels"]
    assert pixels.shape == (crops, SIDE, SIDE, 3)
    assert pixels.dtype == np.uint8
    assert 0 < scale(*size) <= 1


def test_prepare_takes_the_centre() -> None:
    """Whatever the size it was decoded at, the same part of the picture is seen."""
    exact = prepare(picture(446, 297))["pixels"].astype(int)
    larger = prepare(picture(892, 594))["pixels"].astype(int)
    assert np.abs(exact - larger).mean() < 1.5
    reference = (
        Image.fromarray(picture(892, 594).pixels).resize((446, 297), Image.Resampling.BICUBIC).crop((93, 18, 353, 278))
    )
    assert np.abs(np.asarray(reference).astype(int) - larger[0]).mean() < 1
    assert scale(892, 594) == 0.5


@pytest.mark.parametrize("factor", [1, 2])
def test_a_panorama_is_seen_from_end_to_end(factor: int) -> None:
    """Blue grows to the right in the first, red downwards in the second: see `picture`."""
    wide = prepare(picture(1485 * factor, 297 * factor))["pixels"].astype(int)
    assert [round(crop[..., 2].mean(), -1) for crop in wide] == [20, 90, 160, 230]
    high = prepare(picture(297 * factor, 1485 * factor))["pixels"].astype(int)
    assert [round(crop[..., 0].mean(), -1) for crop in high] == [20, 90, 160, 230]
