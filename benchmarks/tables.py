# SPDX-License-Identifier: Apache-2.0
"""Results of benchmarks, and tables of them in Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
NOT_MEASURED = "Not measured yet."
EFFORTS = ("fast", "balanced")
PARTS = {
    "tags": "Tags of a 3-megapixel JPEG",
    "latency": "The same, arriving at random",
    "caption": "Captions of the same JPEG",
    "ocr-receipts": "Text of receipts",
    "ocr-pages": "Text of printed pages",
    "ocr-photographs": "Photographs of 3 megapixels without text",
    "ocr-small": "Photographs of 640 × 480",
    "ocr-signs": "Photographs with text",
    "ocr-library": "A library's pictures, mixed",
    "together": "Tags, text and caption of a library's pictures",
    "front-end": "A task that does nothing",
}


def results(name: str) -> dict[str, Any]:
    """A file of results; empty if it has not been measured."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def number(value: float | None) -> str:
    """Three digits that count; nothing where nothing was measured."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
