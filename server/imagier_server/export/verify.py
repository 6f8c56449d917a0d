# SPDX-License-Identifier: Apache-2.0
"""Stage 4 of an export: checks on real photographs that the converted graph equals its source."""

from __future__ import annotations

from pathlib import Path

from imagier_server.export.convert import Converted, named
from imagier_server.export.model_row import ModelRow


def verify(row: ModelRow, weights: Path, converted: Converted) -> str:
    """Compare `converted` with the published `weights`; return a sentence about the difference. Raises `ExportError`."""
    return str(named(row.verify)(row.role, weights, converted.graph))
