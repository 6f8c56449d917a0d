# SPDX-License-Identifier: Apache-2.0
"""The steps of an OCR task whose models answer what they were told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from imagier_server.errors import EngineUnavailableError
from imagier_server.tasks.ocr.finding import DETECTOR
from imagier_server.tasks.ocr.task import ORIENTER

MANY = [(20 + 240 * x, 20 + 12 * y, 220 + 240 * x, 27 + 12 * y) for x in range(3) for y in range(60)]
"""The cores of 180 short lines, high enough to be trusted at a glance."""


@dataclass
class Scripted:
    """Models that answer what they were told: cores (left, top, right, bottom), tokens and confidences of every line."""

    cores: list[tuple[int, int, int, int]]
    tokens: list[int] = field(default_factory=lambda: [1, 4, 2, 3])
    confidence: float = 0.999
    upside_down: float = 0.0
    broken: str = ""
    asked: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def compute(self, stage, function, *args, **kwargs):
        return function(*args, **kwargs)

    async def infer(self, model: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        pixels = inputs["pixels"]
        assert pixels.dtype == np.uint8
        self.asked.append((model, pixels.shape))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turn.set_result, None)
        await turn  # whoever else is ready begins before this one ends
        self.at_once -= 1
        if model == self.broken:
            raise EngineUnavailableError("Triton does not answer")
        rows = len(pixels)
        if model == DETECTOR:
            probability = np.zeros(pixels.shape[:3], np.uint8)
            for left, top, right, bottom in self.cores:
                probability[0, top:bottom, left:right] = 250
            return {"probability": probability}
        if model == ORIENTER:
            return {"upside_down": np.full((rows, 1), self.upside_down, np.float32)}
        columns = pixels.shape[2] // 8
        token_ids = np.zeros((rows, columns), np.int32)
        token_ids[:, : len(self.tokens)] = self.tokens
        return {"token_ids": token_ids, "confidences": np.full((rows, columns), self.confidence, np.float32)}
