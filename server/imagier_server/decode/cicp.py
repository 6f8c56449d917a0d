# SPDX-License-Identifier: Apache-2.0
"""Colours by code points (ITU-T H.273): reads them from files and converts HDR and wide primaries to sRGB.

PQ and HLG are BT.2100's. White is 203 candelas per square metre (BT.2408); what is lighter is rolled off as in BT.2390, 5.4.1,
for red, green and blue separately.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache
from math import exp
from typing import NamedTuple

from PIL import Image

from imagier_server.decode import icc

_BT2020, _DCI_P3, _DISPLAY_P3 = 9, 11, 12
_GAMMA_22, _GAMMA_28, _LINEAR, _PQ, _HLG = 4, 5, 8, 16, 18
_LIKE_SRGB = frozenset({1, 2, 6, 12, 13, 14, 15})  # BT.709 and its kin: shown as sRGB, as browsers do
# X, Y and Z of red, green and blue, adapted to D50. DCI-P3 as screens show it: with the white D65.
_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
_WIDE = {
    _BT2020: ((0.67348, 0.27904, -0.00194), (0.16566, 0.67534, 0.02998), (0.12505, 0.04561, 0.79686)),
    _DCI_P3: _P3,
    _DISPLAY_P3: _P3,
}
_WHITE = 203.0
_HLG_PEAK = 1000.0
_SPARKS = 0.001
"""Share of pixels that may be lighter than the assumed peak."""
_NAME_OF_PQ = b"ITUR_2100_PQ_FULL\0"  # High Dynamic Range in PNG, W3C's note of 2017


class Cicp(NamedTuple):
    """Code points of the primaries and of the transfer characteristics."""

    primaries: int
    transfer: int

    @property
    def is_hdr(self) -> bool:
        """Whether white is not the lightest value (PQ, HLG), which no ICC profile can express."""
        return self.transfer in {_PQ, _HLG}


def of_png(image: bytes) -> Cicp | None:
    """From the chunk cICP (PNG, third edition) or the name of an older profile; both precede the pixels."""
    at, found = 8, None
    while at + 12 <= len(image):
        length, kind = struct.unpack_from("!I4s", image, at)
        if kind == b"cICP" and length == 4:
            return Cicp(image[at + 8], image[at + 9])
        if kind == b"iCCP" and image.startswith(_NAME_OF_PQ, at + 8):
            found = Cicp(_BT2020, _PQ)
        if kind == b"IDAT":
            break
        at += 12 + length
    return found


def of_properties(properties: Iterable[tuple[bytes, bytes]]) -> Cicp | None:
    """From the ColourInformationBox of an AVIF or HEIC picture."""
    for kind, content in properties:
        if kind == b"colr" and content.startswith(b"nclx") and len(content) >= 10:
            return Cicp(*struct.unpack_from("!HH", content, 4))
    return None


def of_profile(profile: bytes) -> Cicp | None:
    """From the cicpTag of a colour profile (ICC.1:2022, 9.2.17)."""
    if b"cicp" not in profile or len(profile) < 132:
        return None
    (tags,) = struct.unpack_from("!I", profile, 128)
    for at in range(132, min(132 + 12 * tags, len(profile) - 11), 12):
        name, offset, length = struct.unpack_from("!4sII", profile, at)
        content = profile[offset : offset + length]
        if name == b"cicp" and content.startswith(b"cicp") and len(content) >= 12:
            return Cicp(content[8], content[9])
    return None


def to_srgb(picture: Image.Image, cicp: Cicp) -> Image.Image:
    """Convert a picture with these code points to sRGB; unchanged if they are sRGB-like or unknown."""
    known = cicp.is_hdr or cicp.transfer in {_GAMMA_22, _GAMMA_28, _LINEAR}
    if not known and (cicp.transfer not in _LIKE_SRGB or cicp.primaries not in _WIDE):
        return picture
    if picture.mode != "RGBA":
        picture = picture.convert("RGB")
    if known:
        curve = _curve(cicp.transfer, _peak(picture, cicp.transfer) if cicp.is_hdr else _WHITE)
        picture = picture.point([*curve * 3, *range(256)][: 256 * len(picture.getbands())])
    return icc.to_srgb(picture, _profile(cicp.primaries)) if cicp.primaries in _WIDE else picture


def _peak(picture: Image.Image, transfer: int) -> float:
    """Measure the peak luminance in cd/m², because the one that files state is often wrong."""
    histogram, sparks = picture.histogram(), picture.width * picture.height * _SPARKS
    lightest = 0
    for band in range(3):
        level, above = 255, histogram[256 * band + 255]
        while level > lightest and above <= sparks:
            level -= 1
            above += histogram[256 * band + level]
        lightest = max(lightest, level)
    return _light(lightest / 255, transfer)


def _curve(transfer: int, peak: float) -> list[int]:
    """A table from 256 values with these transfer characteristics to sRGB."""
    lights = (_rolled_off(_light(value / 255, transfer), peak) / _WHITE for value in range(256))
    # IEC 61966-2-1.
    return [
        round(255 * min(1.0, 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055))
        for light in lights
    ]


def _light(value: float, transfer: int) -> float:
    """Luminance in cd/m² of a value from 0 to 1."""
    match transfer:
        case 16:
            return _from_pq(value)
        case 18:  # BT.2100, table 5; the screen's own gamma is 1.2
            scene = value * value / 3 if value <= 0.5 else (exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12
            return float(_HLG_PEAK * scene**1.2)
    return float(_WHITE * value ** {_GAMMA_22: 2.2, _GAMMA_28: 2.8, _LINEAR: 1.0}[transfer])


# BT.2100, table 4.
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def _from_pq(value: float) -> float:
    power = value ** (1 / _M2)
    return float(10000 * (max(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1))


def _to_pq(light: float) -> float:
    power = (light / 10000) ** _M1
    return float(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)


def _rolled_off(light: float, peak: float) -> float:
    """Map cd/m² up to `peak` to cd/m² up to white: BT.2390's spline, with black unchanged."""
    if peak <= _WHITE:
        return light
    whole = _to_pq(peak)
    value, most = min(1.0, _to_pq(light) / whole), _to_pq(_WHITE) / whole
    knee = 1.5 * most - 0.5
    if value > knee:
        t = (value - knee) / (1 - knee)
        value = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    return _from_pq(value * whole)


@lru_cache(maxsize=4)
def _profile(primaries: int) -> bytes:
    """A colour profile (ICC.1:2022) of these primaries, with sRGB's curve."""
    curve = (
        b"para"
        + bytes(4)
        + struct.pack("!HH5i", 3, 0, *map(_fixed, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)))
    )
    columns = ((0.9642, 1.0, 0.8249), *_WIDE[primaries])
    values = [b"XYZ " + bytes(4) + struct.pack("!3i", *map(_fixed, column)) for column in columns]
    tags = [*zip((b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ"), values, strict=True)]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    table, data = struct.pack("!I", len(tags)), b""
    for name, content in tags:
        table += struct.pack("!4sII", name, 132 + 12 * len(tags) + len(data), len(content))
        data += content
    head = struct.pack(
        "!I4sI4s4s4s", 128 + len(table) + len(data), bytes(4), 0x04400000, b"mntr", b"RGB ", b"XYZ "
    ) + bytes(12)
    return head + b"acsp" + bytes(28) + struct.pack("!3I", 0xF6D6, 0x10000, 0xD32D) + bytes(48) + table + data


def _fixed(value: float) -> int:
    """As an s15Fixed16Number."""
    return round(value * 65536)
