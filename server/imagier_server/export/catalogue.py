# SPDX-License-Identifier: Apache-2.0
"""Stage 1 of an export: all installable models with source, terms and figures; one line per task."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from imagier_server.export.model_row import ModelRow
from imagier_server.export.rows import caption, embedding, ocr, ocr_scripts, tags

_ROWS = (
    *tags.ROWS,
    *ocr.ROWS,
    *caption.ROWS,
    *embedding.ROWS,
)

_ROLES = dict.fromkeys(row.role for row in _ROWS)

CATALOGUE: Mapping[str, ModelRow] = MappingProxyType(
    {role: next(row for row in _ROWS if row.role == role) for role in _ROLES}
)
"""The default models by role, in export order: the first row of each role."""

ALTERNATIVES: Mapping[str, ModelRow] = MappingProxyType(
    {row.brand: row for row in _ROWS if row is not CATALOGUE[row.role]}
)
"""Alternative models by brand; your own checkpoint may fill their role, too."""

BY_NAME: Mapping[str, ModelRow] = MappingProxyType({row.role: row for row in ocr_scripts.ROWS})
"""Models of further roles, which are installed by name only: recognisers of further scripts."""
