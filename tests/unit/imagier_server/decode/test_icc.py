# SPDX-License-Identifier: Apache-2.0
"""Colour profiles are judged by what they do, and not by their names."""

from __future__ import annotations

import numpy as np
import pytest
from imagier_server.decode import icc
from PIL import Image, ImageCms
from support.made_pictures import D50, described, gamma, xyz
from support.made_pictures import icc as icc_profile

# IEC 61966-2-1's primaries, adapted to D50 as ICC.1 has it.
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
PICTURE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8))


def profile(name: str, curve: bytes, primaries: tuple[tuple[float, ...], ...] = SRGB) -> bytes:
    return icc_profile(
        b"RGB ",
        (b"desc", described(name.encode())),
        (b"wtpt", D50),
        *zip((b"rXYZ", b"gXYZ", b"bXYZ"), (xyz(*column) for column in primaries), strict=True),
        *((tag, curve) for tag in (b"rTRC", b"gTRC", b"bTRC")),
    )


def curve_of_srgb(points: int) -> bytes:
    at = np.linspace(0, 1, points)
    light = np.where(at <= 0.04045, at / 12.92, ((at + 0.055) / 1.055) ** 2.4)
    return b"curv" + bytes(4) + points.to_bytes(4, "big") + np.round(light * 65535).astype(">u2").tobytes()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_linear_profile_is_linear_whatever_it_is_called(mode: str) -> None:
    picture = PICTURE.convert(mode)
    results = []
    for name in ("sRGB, but linear", "another"):
        curve = gamma(1.0)
        linear = (
            profile(name, curve)
            if mode != "L"
            else icc_profile(b"GRAY", (b"desc", described(name.encode())), (b"wtpt", D50), (b"kTRC", curve))
        )
        results.append(np.asarray(icc.to_srgb(picture, linear).convert("RGB")).astype(int))
    called, other = results
    assert np.array_equal(called, other)
    light = np.asarray(picture.convert("RGB")) / 255
    right = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert np.abs(called - right).max() <= 2


@pytest.mark.parametrize(
    "good",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        profile("sRGB IEC61966-2.1", curve_of_srgb(1024)),
        profile("sRGB of few points", curve_of_srgb(64)),
    ],
    ids=["LittleCMS", "1024 points", "64 points"],
)
def test_what_is_srgb_leaves_every_bit(good: bytes) -> None:
    for mode in ("RGB", "RGBA"):
        picture = PICTURE.convert(mode)
        assert icc.to_srgb(picture, good) is picture


@pytest.mark.parametrize(
    "primaries",
    [
        tuple(SRGB[at] for at in (1, 2, 0)),
        ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)),
    ],
)
def test_other_primaries_under_the_name_of_srgb(primaries: tuple[tuple[float, ...], ...]) -> None:
    called, other = (icc.to_srgb(PICTURE, profile(name, curve_of_srgb(256), primaries)) for name in ("sRGB", "x"))
    assert called.tobytes() == other.tobytes() != PICTURE.tobytes()


def test_a_profile_is_judged_once_and_none_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    icc._known.clear()
    good = profile("sRGB", curve_of_srgb(1024))
    icc.to_srgb(PICTURE, good)
    monkeypatch.setattr(icc, "_leaves_colours", None)
    assert icc.to_srgb(PICTURE, good) is PICTURE
    monkeypatch.undo()
    for number in range(100):
        icc.to_srgb(PICTURE, profile(f"sRGB {number}", curve_of_srgb(16)))
    assert len(icc._known) == 64
    assert {len(key) for key in icc._known} == {32}


def test_a_broken_profile_is_ignored() -> None:
    assert icc.to_srgb(PICTURE, b"sRGB") is PICTURE
