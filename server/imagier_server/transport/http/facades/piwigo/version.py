# SPDX-License-Identifier: Apache-2.0
"""The version of Piwigo's AI plugin, and what it means for the answers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from imagier_server.errors import Code, ImagierError
from imagier_server.transport.statuses import OUTDATED

HEADER = "x-plugin-version"
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})", re.ASCII)
_NEWEST = (10_000, 0, 0)
_OLDEST = (0, 0, 4)
"""Up to 0.0.3 the plugin had other settings and no place for why a ticket failed (its maintain.class.php migrates both)."""
_UPRIGHT = (0, 0, 6)
"""Before, a Piwigo that can be reached sends files; from then on, URLs."""


class OutdatedClientError(ImagierError):
    """The caller's version speaks an API that this server does not; permanent until it is updated."""

    code = Code.INVALID
    reason = OUTDATED


def version_of(headers: Mapping[str, str]) -> tuple[int, int, int]:
    """The plugin's version; that of the newest if it is not told. Raises `OutdatedClientError`."""
    found = _VERSION.match(headers.get(HEADER, "").strip())
    if not found:
        return _NEWEST
    version = int(found[1]), int(found[2]), int(found[3])
    if version < _OLDEST:
        raise OutdatedClientError("this version of the plugin Piwigo AI is too old for this server: update it")
    return version


def sends_files_when_pong(version: tuple[int, int, int]) -> bool:
    """Whether the plugin sends files to a server that says that it reaches Piwigo. Newer ones send them to one that does not."""
    return version < _UPRIGHT
