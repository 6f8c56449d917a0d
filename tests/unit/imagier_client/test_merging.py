# SPDX-License-Identifier: Apache-2.0
"""One answer out of several; how the window uses it is proved there."""

from __future__ import annotations

from imagier.v1 import annotator_pb2
from imagier_client import merging


def test_a_later_attempt_replaces_its_tasks_and_no_other() -> None:
    whole = annotator_pb2.AnnotateResponse(width=3, cost=1)
    whole.tags.tags.add(id="n1")
    whole.ocr.status.code = 14
    later = annotator_pb2.AnnotateResponse(width=3, cost=1)
    later.ocr.lines.add(text="a line")
    merging.add(whole, later)
    assert merging.failed(whole) == {}
    assert merging.succeeded(whole) == {"tags", "ocr"}
    assert (whole.cost, whole.tags.tags[0].id, whole.ocr.lines[0].text) == (2, "n1", "a line")
