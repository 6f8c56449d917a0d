# SPDX-License-Identifier: Apache-2.0
"""Structured logs: one JSON object per line on standard error, without picture data or results."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any

logger = logging.getLogger("imagier_server")


class JsonFormatter(logging.Formatter):
    """`logger.info("event", extra={"fields": {…}})` → {"time", "level", "event", …}.

    Only the type and traceback locations of an exception are written: its text may quote the picture.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__qualname__
            line["at"] = [
                f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(record.exc_info[2])
            ]
        return json.dumps(line, ensure_ascii=False)


def set_up(level: str) -> None:
    """Send all log lines to standard error as JSON; those of libraries from WARNING on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logger.setLevel(level.upper())


def log(level: int, event: str, **fields: object) -> None:
    """Write one line; `fields` are numbers, constants, or Triton's log lines."""
    logger.log(level, event, extra={"fields": fields})
