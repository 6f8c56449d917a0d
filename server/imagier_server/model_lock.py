# SPDX-License-Identifier: Apache-2.0
"""`models.lock`: what is installed in a model repository, where it came from, and the digest of every file."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

LOCK_NAME = "models.lock"
PARTIAL_SUFFIX = ".partial"
"""Suffix of a file that an installation is writing."""


class ModelLockError(ValueError):
    """`models.lock` cannot be read."""


@dataclass(frozen=True, slots=True)
class LockedFile:
    """A file that an export wrote; `size` in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class LockedModel:
    """An installed model.

    `source_digest` (SHA-256 of the weights as published) and `recipe` are what `model_digest` and `export_recipe` in the
    model's config.pbtxt must say: a config, a label file and a graph that agree on them belong together. `files` are paths
    relative to the repository. `licence` is an SPDX expression or "not stated".
    """

    role: str
    brand: str
    version: str
    source: str
    source_digest: str
    recipe: int
    licence: str
    research_only: bool
    languages: tuple[str, ...]
    files: Mapping[str, LockedFile]
    tools: Mapping[str, str]

    @property
    def full_version(self) -> str:
        """Model and version, such as "efficientnet-lite2 0.1.0"."""
        return f"{self.brand} {self.version}"


def read_lock(repository: Path) -> dict[str, LockedModel]:
    """Read the installed models by role; empty if there is no lock file. Raises `ModelLockError`, `OSError`."""
    try:
        content = (repository / LOCK_NAME).read_bytes()
    except FileNotFoundError:
        return {}
    try:
        return {role: _model(role, row) for role, row in json.loads(content)["models"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelLockError(f"{LOCK_NAME} is damaged; export the models again") from error


def write_lock_text(models: Mapping[str, LockedModel]) -> str:
    """Serialise to the file's content; equal models give equal text."""
    rows = {
        role: {key: value for key, value in asdict(model).items() if key != "role"} for role, model in models.items()
    }
    return json.dumps({"models": rows}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def damaged_files(repository: Path, model: LockedModel) -> tuple[str, ...]:
    """Return the model's missing or changed files. Reads every byte: tens of milliseconds."""
    return tuple(path for path, file in model.files.items() if not _intact(repository / path, file))


def verify_files(repository: Path) -> dict[str, tuple[str, ...]]:
    """Return the damaged files by installed role. Raises as `read_lock`."""
    return {role: damaged_files(repository, model) for role, model in read_lock(repository).items()}


def require_intact(repository: Path) -> None:
    """Raise `ModelLockError` unless models are installed and every byte matches; `OSError`."""
    models = verify_files(repository)
    if not models:
        raise ModelLockError(f"{repository}: no models there")
    if damaged := [path for paths in models.values() for path in paths]:
        raise ModelLockError(f"{repository}: damaged or missing: {', '.join(damaged)}")


def copy_repository(source: Path, target: Path) -> None:
    """Copy only installed files, because Triton would load any others. Raises as `require_intact`, and `OSError`.

    `target` is replaced only when the copy is complete: a full disk or a damaged source changes nothing.
    File modes are not copied, because `target` may be a volume of another owner.
    """
    require_intact(source)
    files = [*(path for role in read_lock(source) for path in (source / role).rglob("*")), source / LOCK_NAME]
    copies = {}
    try:
        for path in files:
            if path.is_file() and path.suffix != PARTIAL_SUFFIX:
                copy = target / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                partial = copy.with_name(f".{copy.name}{PARTIAL_SUFFIX}")
                copies[partial] = copy
                shutil.copyfile(path, partial)
        for partial, copy in copies.items():
            partial.replace(copy)
    finally:
        for partial in copies:
            partial.unlink(missing_ok=True)
    require_intact(target)


def _intact(path: Path, file: LockedFile) -> bool:
    try:
        with path.open("rb") as content:
            return (
                path.stat().st_size == file.size and hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
            )
    except OSError:
        return False


def _model(role: str, row: dict[str, Any]) -> LockedModel:
    files = {path: LockedFile(**file) for path, file in row.pop("files").items()}
    return LockedModel(role=role, files=files, languages=tuple(row.pop("languages")), **row)
