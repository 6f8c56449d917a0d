# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from imagier_server.timings import SHARED, Timings
from imagier_server.transport.used import used


def test_the_parts_of_each_task_are_summed_and_shared_work_comes_first() -> None:
    timings = Timings()
    assert used(timings) == ""
    timings.cpu += [("tags", 0.25), (SHARED, 0.5), ("ocr", 1.0), ("tags", 0.125)]
    assert used(timings) == "decode=0.5000, ocr=1.0000, tags=0.3750"
