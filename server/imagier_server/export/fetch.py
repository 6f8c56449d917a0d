# SPDX-License-Identifier: Apache-2.0
"""Stage 2 of an export: finds the published weights on this machine and checks them against the catalogue."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

from imagier_server.export.errors import ExportError
from imagier_server.export.model_row import BundledFile, CheckpointFolder, PackageFile, PublishedFile, Source


def fetch(source: Source, repository: Path) -> Path:
    """Find the file or folder of `source` without importing its package. Raises `ExportError`."""
    match source:
        case CheckpointFolder():
            return source.path
        case PackageFile():
            name, advice = f"{source.file} of {source.distribution}=={source.version}", "install it again"
            path = _in_package(source)
        case BundledFile():
            name, advice = f"{source.path} of the model repository", "take it from where the rest came from"
            path = repository / source.path
        case PublishedFile(copy=Path() as path):
            name, advice = path.name, f"a copy of {source.url} is needed"
        case _:
            raise ExportError(f"{source.url} must be downloaded")
    return checked(path, source.sha256, name, advice)


def checked(path: Path, sha256: str, name: str, advice: str) -> Path:
    """`path`, if it has that digest. Raises `ExportError` with the file's `name` and what to do."""
    try:
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise ExportError(f"{name} cannot be read: {error.strerror}; {advice}") from error
    if digest != sha256:
        raise ExportError(f"{name} has SHA-256 {digest}, expected {sha256}; {advice}")
    return path


def _in_package(source: PackageFile) -> Path:
    wanted = f"{source.distribution}=={source.version}"
    try:
        distribution = metadata.distribution(source.distribution)
    except metadata.PackageNotFoundError:
        raise ExportError(f"{wanted} is not installed; run: pip install 'imagier[export]'") from None
    if distribution.version != source.version:
        raise ExportError(
            f"{wanted} is wanted, {distribution.version} is installed; run: pip install 'imagier[export]'"
        )
    return Path(str(distribution.locate_file(source.file)))
