# SPDX-License-Identifier: Apache-2.0
"""Fills the model repository: catalogue → fetch → convert → verify → install. Never imported by the serving path."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from imagier_server.export.catalogue import CATALOGUE, ModelRow
from imagier_server.export.errors import ExportError
from imagier_server.export.fetch import fetch
from imagier_server.export.install import GRAPH, install
from imagier_server.model_lock import LockedModel, ModelLockError, damaged_files, read_lock

__all__ = ["CATALOGUE", "ExportError", "State", "export_models", "status"]


class State(StrEnum):
    """How a role stands in a repository."""

    CURRENT = "current"
    STALE = "stale"  # from other weights or an older recipe, or its files are not what was installed
    MISSING = "missing"


def status(repository: Path) -> dict[str, State]:
    """How each role of the catalogue stands in `repository`, every byte checked. Raises `ExportError`."""
    installed = _read_lock(repository)
    return {role: _state(repository, row, installed.get(role)) for role, row in CATALOGUE.items()}


def export_models(
    repository: Path, roles: Sequence[str] | None = None, on_progress: Callable[[str], None] = lambda _line: None
) -> dict[str, State]:
    """Installs the models of `roles` (all if None) that are not current in `repository`. How each of them stood before.

    `on_progress` gets a line for the terminal at each step. The packages of `imagier[export]` are needed only if there is
    something to do. Raises `ExportError`: then that model and those after it are as they were.
    """
    wanted = CATALOGUE if roles is None else {role: _row(role) for role in roles}
    for role in wanted:
        if not (repository / role / "config.pbtxt").is_file():
            raise ExportError(f"no {role}/config.pbtxt in {repository}: it is not a model repository of this version")
    with _held(repository):
        before = {role: state for role, state in status(repository).items() if role in wanted}
        for role, state in before.items():
            if state is State.CURRENT:
                on_progress(f"{role}: current")
            else:
                _export(repository, CATALOGUE[role], on_progress)
    return before


def _export(repository: Path, row: ModelRow, on_progress: Callable[[str], None]) -> None:
    on_progress(f"{row.role}: converting {row.brand} {row.version}")
    weights = fetch(row.source, repository)
    try:
        # PyTorch takes seconds to import: only now is it needed.
        from imagier_server.export.convert import convert  # noqa: PLC0415
        from imagier_server.export.verify import verify  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ExportError(f"{error.name} is not installed; run: pip install 'imagier[export,cpu]'") from error
    converted = convert(row, weights)
    on_progress(f"{row.role}: {verify(row, weights, converted)}")
    files = {GRAPH: converted.graph} | {f"assets/{name}": content for name, content in converted.assets.items()}
    tools = {name: metadata.version(name) for name in ("imagier", "onnx", "torch")}
    try:
        install(repository, row, files, tools)
    except OSError as error:
        raise ExportError(f"{row.role}: cannot be written to {repository}: {error.strerror}") from error
    on_progress(f"{row.role}: installed, {len(converted.graph) / 1e6:.1f} MB")


def _state(repository: Path, row: ModelRow, model: LockedModel | None) -> State:
    if model is None:
        return State.MISSING
    if (model.source_digest, model.recipe) != (row.source.sha256, row.recipe) or damaged_files(repository, model):
        return State.STALE
    return State.CURRENT


def _row(role: str) -> ModelRow:
    if role not in CATALOGUE:
        raise ExportError(f"no model {role}; there are: {', '.join(CATALOGUE)}")
    return CATALOGUE[role]


def _read_lock(repository: Path) -> dict[str, LockedModel]:
    try:
        return read_lock(repository)
    except (ModelLockError, OSError) as error:
        raise ExportError(str(error)) from error


@contextmanager
def _held(repository: Path) -> Iterator[None]:
    """One export at a time in a repository; a second one waits. Let go of when the process ends, however it does."""
    folder = os.open(repository, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
