# SPDX-License-Identifier: Apache-2.0
"""A log line is one JSON object, and an exception in it keeps its text to itself."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from imagier_server.logs import JsonFormatter

SECRET = "what was read in the picture"


def line(message: str, **attributes: Any) -> dict[str, Any]:
    record = logging.LogRecord("imagier", logging.WARNING, __file__, 1, message, (), attributes.pop("exc_info", None))
    vars(record).update(attributes)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_line_has_its_time_its_level_and_its_fields() -> None:
    said = line("annotated", fields={"code": "OK", "seconds": 0.25})
    assert (said["level"], said["event"], said["code"], said["seconds"]) == ("warning", "annotated", "OK", 0.25)
    assert said["time"].endswith("+00:00")


def test_of_an_exception_only_its_type_and_its_place_are_told() -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        said = line("failed", exc_info=sys.exc_info())
    assert said["exception"] == "ValueError"
    assert any("test_of_an_exception" in place for place in said["at"])
    assert SECRET not in json.dumps(said)
