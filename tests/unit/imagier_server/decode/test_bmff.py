# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from imagier_server.decode.bmff import primary_properties
from support.heic import crop, heic, turn
from support.made_pictures import encoded, quadrants


@pytest.mark.parametrize("grid", [None, (1, 1), (3, 2)])
def test_the_primary_pictures_properties_in_their_order(grid: tuple[int, int] | None) -> None:
    file = heic(quadrants(64, 32), grid=grid, colours=(9, 16), changes=[turn(1), crop((8, 8)), turn(2)])
    kinds = [kind for kind, _ in primary_properties(file)]
    assert kinds == [*([b"hvcC"] if grid is None else []), b"ispe", b"colr", b"irot", b"clap", b"irot"]
    assert dict(primary_properties(file))[b"colr"].startswith(b"nclx\0\x09\0\x10")
    assert b"av1C" in dict(primary_properties(encoded(quadrants(), "AVIF")))


def test_a_broken_file_has_none() -> None:
    file = heic(quadrants(64, 32))
    known = {kind for kind, _ in primary_properties(file)}
    for length in range(700):
        assert {kind for kind, _ in primary_properties(file[:length])} <= known
    for place in range(700):
        broken = bytearray(file)
        broken[place] ^= 0xFF
        primary_properties(bytes(broken))
    assert primary_properties(b"") == []
