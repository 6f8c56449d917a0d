# SPDX-License-Identifier: Apache-2.0
"""How many cores there are for this process: its affinity counts."""

from __future__ import annotations

import os

from imagier_server.cores import usable_cores


def test_its_affinity_counts() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert 1 <= usable_cores() <= len(before)
