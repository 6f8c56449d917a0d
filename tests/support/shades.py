# SPDX-License-Identifier: Apache-2.0
"""A decoded picture by whose colours one sees where in it one is."""

from __future__ import annotations

import numpy as np
from imagier_server.messages import Picture


def picture(width: int, height: int) -> Picture:
    """Blue grows to the right, red downwards."""
    across = np.linspace(0, 255, width).astype(np.uint8)
    down = np.linspace(0, 255, height).astype(np.uint8)
    pixels = np.stack(np.broadcast_arrays(down[:, None], np.uint8(0), across[None, :]), axis=-1)
    return Picture(np.ascontiguousarray(pixels), width, height)
