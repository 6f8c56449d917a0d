# SPDX-License-Identifier: Apache-2.0
"""A decoder process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from imagier_server.decode.process import DecoderProcess
from support.decoding import CAPS


@pytest.fixture(scope="module")
def decoder() -> Iterator[DecoderProcess]:
    """One for all: none of these pictures may cost it its life."""
    running = DecoderProcess(CAPS, 2 << 30)
    yield running
    assert running.alive
    running.stop()
