# SPDX-License-Identifier: Apache-2.0
"""Tells whose answer an answer of the embedded Triton is: our backend returns the id of the request beside the results."""

# Triton 2.51 gives up a batch if the model's process does not run for a second: a container that was frozen, a clock that jumped,
# a starved machine. Once that process goes on, each batch gets the results of the batch before it, maybe another caller's.

from __future__ import annotations

import secrets
from collections.abc import Iterable

import numpy as np

OUTPUT = "imagier_request_id"
"""The output with the id, as in embedded/onnxruntime_backend/model.py: uint64 [N, 1]."""
CONFIG = f'output [ {{ name: "{OUTPUT}" data_type: TYPE_UINT64 dims: [ 1 ] }} ]'
"""What a config.pbtxt needs for it."""


def new() -> str:
    """An id that no other request has."""
    return str(secrets.randbits(64))


def returned(outputs: Iterable[tuple[str, bytes]]) -> str | None:
    """The id that an answer's outputs, by name, bring back; None if they bring none, or several."""
    found = [content for name, content in outputs if name == OUTPUT and not len(content) % 8]
    ids = {number for content in found for number in np.frombuffer(content, np.uint64).tolist()}
    return str(*ids) if len(ids) == 1 else None
