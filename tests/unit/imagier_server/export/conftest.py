# SPDX-License-Identifier: Apache-2.0
"""The smallest network that writes captions, and small checkpoints of each family: made once, and copied by who changes them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from imagier_server.export.embedders import TextTower, read_text_tower
from support import tiny_embedders
from torch import nn

WORDS, WIDTH, SIDE, END, PAD = 23, 12, 4, 3, 0


class Rememberer(nn.Module):
    """A recurrent decoder: its cache is its hidden state [N, K, WIDTH]. Random weights; `ends` makes the end token likelier."""

    def __init__(self, ends: float) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.see = nn.Linear(SIDE * SIDE * 3, WIDTH)
        self.words = nn.Embedding(WORDS, WIDTH)
        self.keep = nn.Linear(WIDTH, WIDTH)
        self.say = nn.Linear(WIDTH, WORDS)
        with torch.no_grad():
            self.say.weight *= 4
            self.say.bias[END] += ends

    def look(self, pixels):
        return [torch.tanh(4 * self.see(pixels.to(torch.float32).flatten(1) / 127.5 - 1))]

    def begin(self, memory):
        return self.say(memory[0]), [memory[0]]

    def step(self, tokens, position, memory, caches):
        turn = torch.sin(position.to(torch.float32))
        state = torch.tanh(self.keep(caches[0]) + self.words(tokens) + memory[0][:, None] + turn)
        return self.say(state), [state]


@pytest.fixture(scope="session")
def rememberer():
    return Rememberer


@pytest.fixture(scope="session")
def six_pictures():
    return torch.randint(0, 256, (6, SIDE, SIDE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Callable[[str], Path]:
    """The checkpoint of a family, for all tests: none may change it."""

    @cache
    def made(family: str) -> Path:
        return tiny_embedders.FAMILIES[family](tmp_path_factory.mktemp(family) / family)

    return made


@pytest.fixture
def copied(checkpoint, tmp_path) -> Callable[[str], Path]:
    """A copy of it for one test."""
    return lambda family: Path(shutil.copytree(checkpoint(family), tmp_path / family))


@pytest.fixture(scope="session")
def text_tower(checkpoint) -> Callable[[str], TextTower]:
    """The network for texts of a family, read once."""
    return cache(lambda family: read_text_tower(tiny_embedders.textual(checkpoint(family))))
