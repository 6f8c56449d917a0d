# SPDX-License-Identifier: Apache-2.0
"""Runs one OCR library in its own environment: paths of pictures come in, one a line; a line of JSON goes out for each.

Imports nothing of ours. Each library has its own defaults, and as many threads as it takes by itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path


def rapidocr(engine: str) -> Callable[[str], list[str]]:
    """RapidOCR on ONNX Runtime or OpenVINO."""
    from rapidocr import EngineType, RapidOCR

    kind = EngineType(engine)
    params = {f"{part}.engine_type": kind for part in ("Det", "Cls", "Rec")}
    reader = RapidOCR(params={"Global.log_level": "error", **params})
    return lambda path: list(reader(path).txts or ())


def faster_paddle(size: str) -> Callable[[str], list[str]]:
    """faster-paddle with the weights of that size."""
    from faster_paddle import OcrEngine

    reader = OcrEngine(model_size=size)
    return lambda path: [each["text"] for each in reader.ocr(Path(path).read_bytes())["bounds"].values()]


def main() -> None:
    library, variant = sys.argv[1:]
    read = {"rapidocr": rapidocr, "faster-paddle": faster_paddle}[library](variant)
    # What a library prints by itself must not meet the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        lines = read(line.rstrip("\n"))
        print(json.dumps({"lines": len(lines), "characters": sum(map(len, lines))}), file=answers, flush=True)


if __name__ == "__main__":
    main()
