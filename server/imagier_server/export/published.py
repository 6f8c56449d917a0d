# SPDX-License-Identifier: Apache-2.0
"""Stage 2 of an export for weights that no package has: downloads the file from where its authors publish it."""

from __future__ import annotations

import urllib.request
from http.client import HTTPException
from pathlib import Path

from imagier_server.export.errors import ExportError
from imagier_server.export.fetch import checked
from imagier_server.export.model_row import PublishedFile

MOST_BYTES = 64 << 20
"""No recogniser is nearly as large."""
_PART = 1 << 20
_SECONDS = 60


def download(source: PublishedFile, folder: Path) -> Path:
    """Download `source` to `folder`; it has the digest of the catalogue. Raises `ExportError`."""
    path = folder / source.url.rpartition("/")[2]
    size = 0
    try:
        with urllib.request.urlopen(source.url, timeout=_SECONDS) as answer, path.open("wb") as file:  # noqa: S310 - ours
            while part := answer.read(_PART):
                size += len(part)
                if size > MOST_BYTES:
                    raise ExportError(f"{path.name} is larger than {MOST_BYTES} bytes: it is not what was published")
                file.write(part)
    except (OSError, HTTPException) as error:
        raise ExportError(f"{path.name} cannot be downloaded: {error}; try again, or name a copy of it") from error
    return checked(path, source.sha256, path.name, "try again")
