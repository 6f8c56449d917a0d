# SPDX-License-Identifier: Apache-2.0
"""Fills the model repository: catalogue → fetch → convert → verify → install. Never imported by the serving path."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from imagier_server.export import published
from imagier_server.export.catalogue import ALTERNATIVES, BY_NAME, CATALOGUE
from imagier_server.export.errors import ExportError
from imagier_server.export.fetch import fetch
from imagier_server.export.hub import download, look_up
from imagier_server.export.install import CONFIG, GRAPH, fit_config, install
from imagier_server.export.model_row import BundledFile, CheckpointFolder, HubModel, ModelRow, PublishedFile
from imagier_server.export.space_install import ROLES, install_space, is_current
from imagier_server.export.spaces import IMAGE_EMBEDDER, SPACES, TEXT_EMBEDDER, NamedSpace, find, is_space
from imagier_server.model_lock import LockedModel, ModelLockError, damaged_files, read_lock
from imagier_server.tasks.embedding.immich_names import DIMENSIONS

__all__ = [
    "ALTERNATIVES",
    "BY_NAME",
    "CATALOGUE",
    "DIMENSIONS",
    "SPACES",
    "ExportError",
    "Standing",
    "State",
    "install_models",
    "status",
]


class State(StrEnum):
    """The state of a role in a repository."""

    CURRENT = "current"
    STALE = "stale"  # other weights or assets, an older recipe, or changed files
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Standing:
    """The model of a role: catalogue `row` (None for your own checkpoint), brand and version."""

    state: State
    brand: str
    version: str
    row: ModelRow | None


def status(repository: Path) -> dict[str, Standing]:
    """Return the state of each role in `repository`, checking every byte. Raises `ExportError`."""
    installed = _read_lock(repository)
    rows = {**CATALOGUE, **{role: row for role, row in BY_NAME.items() if role in installed}}
    standings = {role: _standing(repository, row, installed.get(role)) for role, row in rows.items()}
    if model := installed.get(IMAGE_EMBEDDER):  # it has no default
        state = State.STALE if damaged_files(repository, model) else State.CURRENT
        standings[IMAGE_EMBEDDER] = Standing(state, model.brand, model.version, _space_row(model))
    return standings


def install_models(
    repository: Path,
    wanted: Sequence[str] = (),
    accept_research_only: bool = False,
    on_progress: Callable[[str], None] = lambda _line: None,
    name: str = "",
) -> dict[str, State]:
    """Install the `wanted` models that are not current in `repository`; return the previous state of their roles.

    Each is a role (its default model), role=brand, role=folder of a checkpoint, or a space by its name or in a folder, there
    called `name`; none means the default of every role without another model. Research-only models need `accept_research_only`:
    without it they are an error if named, else skipped.
    `on_progress` gets a line for the terminal at each step. The packages of `imagier[export]` are needed only if there is
    something to do. Raises `ExportError`; that model and later ones are then unchanged.
    """
    rows, spaces = _chosen(wanted, name)
    for row in rows:
        if not (repository / (row.config_of or row.role) / CONFIG).is_file():
            raise ExportError(
                f"no {row.config_of or row.role}/{CONFIG} in {repository}: it is not a model repository of this version"
            )
        if wanted and row.research_only and not accept_research_only:
            raise ExportError(
                f"{row.role}: {row.brand} is for research only. {row.terms} Accept: --accept research-only"
            )
    with _held(repository):
        missing = {row.role: _standing(repository, row, None) for row in rows}
        standings = missing | status(repository)
        before = {row.role: standings[row.role].state for row in rows}
        for row in rows:
            standing = standings[row.role]
            if not wanted and standing.row is not row:
                kept = "kept" if standing.state is State.CURRENT else f"{standing.state}; install it again by its name"
                on_progress(f"{row.role}: {standing.brand} {kept}")
                continue
            if row.research_only and not accept_research_only:
                on_progress(
                    f"{row.role}: left out, for research only: imagier models install {row.role} --accept research-only"
                )
                continue
            if row.research_only or isinstance(row.source, CheckpointFolder):
                on_progress(f"{row.role}: NOTICE: {row.terms}")
            if standing.row is row and standing.state is State.CURRENT:
                on_progress(f"{row.role}: current")
            else:
                _install(repository, row, on_progress)
        for space in spaces:
            _install_space(repository, space, on_progress)
    return before


def _chosen(wanted: Sequence[str], name: str) -> tuple[list[ModelRow], list[NamedSpace]]:
    """The models and the spaces that are wanted."""
    if name and (len(wanted) != 1 or not is_space(wanted[0])):
        raise ExportError("--as names the networks of one folder: imagier models install FOLDER --as NAME")
    spaces = [find(text, name) for text in wanted if is_space(text)]
    rows = [_row(text) for text in wanted if not is_space(text)]
    return rows if wanted else list(CATALOGUE.values()), spaces


def _install_space(repository: Path, space: NamedSpace, on_progress: Callable[[str], None]) -> None:
    if is_current(repository, space, _read_lock(repository)):
        on_progress(f"{space.name}: current")
    else:
        install_space(repository, space, on_progress)


def _install(repository: Path, row: ModelRow, on_progress: Callable[[str], None]) -> None:
    with TemporaryDirectory(prefix="imagier-") as scratch:
        if isinstance(row.source, HubModel | CheckpointFolder):
            source = look_up(row.source)
            row = replace(row, source=source)
            on_progress(f"{row.role}: {row.brand}, {source.url}")
            on_progress(
                f"{row.role}: licence {row.weights_licence}, {source.size / 1e6:.0f} MB, SHA-256 {source.sha256}"
            )
        match row.source:
            case HubModel():
                weights = download(row.source, Path(scratch))
            case PublishedFile(copy=None):
                on_progress(f"{row.role}: {row.source.url}, licence {row.weights_licence}, SHA-256 {row.source.sha256}")
                weights = published.download(row.source, Path(scratch))
            case _:
                weights = fetch(row.source, repository)
        on_progress(f"{row.role}: converting {row.brand} {row.version}")
        try:
            # Imported late: PyTorch takes seconds to import.
            from imagier_server.export.convert import convert  # noqa: PLC0415
            from imagier_server.export.verify import verify  # noqa: PLC0415

            converted = convert(row, weights, repository)
            on_progress(f"{row.role}: {verify(row, weights, converted)}")
        except ModuleNotFoundError as error:
            raise ExportError(f"{error.name} is not installed; run: pip install 'imagier[{_extras(row)}]'") from error
    files = {GRAPH: converted.graph} | {f"assets/{name}": content for name, content in converted.assets.items()}
    tools = {name: metadata.version(name) for name in ("imagier", "onnx", "torch")}
    try:
        config = _config(repository, row)
        # Shapes are adapted only for roles with models of several shapes.
        several = row.role in ROLES or any(other.role == row.role for other in ALTERNATIVES.values())
        fitted = fit_config(config, row, converted.shapes if several else {})
        # The default for texts makes vectors of pictures, too, and of another space than those of a network for pictures.
        without = (IMAGE_EMBEDDER,) if row.role == TEXT_EMBEDDER else ()
        install(repository, row, files, tools, fitted if row.config_of or fitted != config else None, without)
    except OSError as error:
        raise ExportError(f"{row.role}: cannot be written to {repository}: {error.strerror}") from error
    on_progress(f"{row.role}: installed, {len(converted.graph) / 1e6:.1f} MB")


def _config(repository: Path, row: ModelRow) -> str:
    """The role's own config, which an operator may have changed, or that of the role it is like. Raises `OSError`."""
    own = repository / row.role / CONFIG
    if row.config_of and not own.is_file():
        like = (repository / row.config_of / CONFIG).read_text("utf-8")
        return like.replace(f'name: "{row.config_of}"', f'name: "{row.role}"', 1)
    return own.read_text("utf-8")


def _standing(repository: Path, default: ModelRow, model: LockedModel | None) -> Standing:
    if model is None:
        return Standing(State.MISSING, default.brand, default.version, default)
    row = default if model.brand == default.brand else ALTERNATIVES.get(model.brand) or _space_row(model)
    # For the hub and folders, the digest is known only after looking there.
    sha256 = row.source.sha256 if row and row.source.sha256 else model.source_digest
    recipe = row.recipe if row else model.recipe
    files = dict(model.files)
    if row and isinstance(row.source, BundledFile):
        # Files beside the weights are installed unchanged, and may change without them (a calibration).
        beside = Path(row.source.path).parent
        files |= {f"{beside}/{Path(path).name}": file for path, file in model.files.items() if "/assets/" in path}
    same = (model.source_digest, model.recipe) == (sha256, recipe)
    state = State.CURRENT if same and not damaged_files(repository, replace(model, files=files)) else State.STALE
    return Standing(state, model.brand, model.version, row)


def _space_row(model: LockedModel) -> ModelRow | None:
    space = SPACES.get(model.brand)
    if space is None or model.licence != space.licence:  # one from a folder may have any name
        return None
    return space.row(model.role, space.image if model.role == IMAGE_EMBEDDER else space.text)


def _row(text: str) -> ModelRow:
    role, _, choice = text.partition("=")
    if (row := BY_NAME.get(role)) and isinstance(row.source, PublishedFile):
        return replace(row, source=replace(row.source, copy=Path(choice))) if choice else row
    if role not in CATALOGUE:
        raise ExportError(f"no model {role}; there are: {', '.join([*CATALOGUE, *BY_NAME])}")
    choices = {brand: row for brand, row in ALTERNATIVES.items() if row.role == role}
    if not choice or choice == CATALOGUE[role].brand:
        return CATALOGUE[role]
    if choice in choices:
        return choices[choice]
    if choices and Path(choice).is_dir():
        terms = "Nobody has stated the terms of this checkpoint here: whether they allow your use is for you to know."
        return replace(
            next(iter(choices.values())),
            brand="own-checkpoint",
            source=CheckpointFolder(Path(choice)),
            weights_licence="not stated",
            terms=terms,
            quality="not stated",
        )
    known = ", ".join([CATALOGUE[role].brand, *choices, *(["or a folder"] if choices else [])])
    raise ExportError(f"{role} has no {choice}; there are: {known}")


def _extras(row: ModelRow) -> str:
    return "export,cpu,captioners" if isinstance(row.source, HubModel | CheckpointFolder) else "export,cpu"


def _read_lock(repository: Path) -> dict[str, LockedModel]:
    try:
        return read_lock(repository)
    except (ModelLockError, OSError) as error:
        raise ExportError(str(error)) from error


@contextmanager
def _held(repository: Path) -> Iterator[None]:
    """Lock a repository for one installation; a second one waits. The kernel releases the lock with the process."""
    folder = os.open(repository, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
