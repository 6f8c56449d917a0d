# SPDX-License-Identifier: Apache-2.0
"""Stage 2 of an export: the weights as published, found in the installed package and checked against the catalogue."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

from imagier_server.export.catalogue import Source
from imagier_server.export.errors import ExportError


def fetch(source: Source) -> Path:
    """The file of `source` on this machine. Its package is looked at, not imported. Raises `ExportError`."""
    wanted = f"{source.distribution}=={source.version}"
    try:
        distribution = metadata.distribution(source.distribution)
    except metadata.PackageNotFoundError:
        raise ExportError(f"{wanted} is not installed; run: pip install 'imagier[export]'") from None
    if distribution.version != source.version:
        raise ExportError(
            f"{wanted} is wanted, {distribution.version} is installed; run: pip install 'imagier[export]'"
        )
    path = Path(str(distribution.locate_file(source.file)))
    try:
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise ExportError(f"{wanted} has no readable {source.file}; install it again") from error
    if digest != source.sha256:
        raise ExportError(f"{source.file} of {wanted} has SHA-256 {digest}, expected {source.sha256}; install it again")
    return path
