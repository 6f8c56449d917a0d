# SPDX-License-Identifier: Apache-2.0
"""Installs both networks of a space, or neither: looks up, downloads, converts, verifies, and puts them in place together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from imagier_server.export.errors import ExportError
from imagier_server.export.hub import download, look_up
from imagier_server.export.install import CONFIG, GRAPH, Installation, fit_config, install_together
from imagier_server.export.model_row import CheckpointFolder, HubModel, ModelRow
from imagier_server.export.spaces import IMAGE_EMBEDDER, TEXT_EMBEDDER, NamedSpace
from imagier_server.model_lock import LockedModel, damaged_files

if TYPE_CHECKING:
    from imagier_server.export.convert import Converted

ROLES = (IMAGE_EMBEDDER, TEXT_EMBEDDER)


def is_current(repository: Path, space: NamedSpace, installed: Mapping[str, LockedModel]) -> bool:
    """Whether both roles hold this space from the hub, whole and of the present recipe. What a folder holds may have changed."""
    return all(
        isinstance(source, HubModel)
        and (model := installed.get(role)) is not None
        and (model.brand, model.recipe) == (space.name, space.row(role, source).recipe)
        and not damaged_files(repository, model)
        for role, source in zip(ROLES, (space.image, space.text), strict=True)
    )


def install_space(repository: Path, space: NamedSpace, on_progress: Callable[[str], None]) -> None:
    """Install `space`; the caller holds the repository's lock. Raises `ExportError`, and then nothing has changed."""
    for role in ROLES:
        if not (repository / role / CONFIG).is_file():
            raise ExportError(f"no {role}/{CONFIG} in {repository}: it is not a model repository of this version")
    on_progress(f"NOTICE: {space.terms}")
    image, text = look_up(space.image), look_up(space.text)
    # A checkpoint of one's own is called after its weights: vectors of another one must never pass for its own.
    name = space.name or f"own-{image.sha256[:8]}{text.sha256[:4]}"
    space = replace(space, name=name, image=image, text=text)
    for source in dict.fromkeys((image, text)):
        size = f"{source.size / 1e6:.0f} MB, SHA-256 {source.sha256}"
        on_progress(f"{name}: {source.url}, licence {space.licence}, {size}")
    with TemporaryDirectory(prefix="imagier-") as scratch:
        folders = {
            source: _folder(source, Path(scratch) / str(number))
            for number, source in enumerate(dict.fromkeys((image, text)))
        }
        on_progress(f"{name}: converting both networks")
        try:
            # Imported late: PyTorch and transformers take seconds to import.
            from imagier_server.export.convert import finished  # noqa: PLC0415
            from imagier_server.export.embedder_models import convert, read_pair, verify  # noqa: PLC0415

            pair = read_pair(name, folders[image], folders[text])
            rows = {role: space.row(role, source) for role, source in zip(ROLES, (image, text), strict=True)}
            converted = {role: finished(rows[role], *parts) for role, parts in convert(pair).items()}
            on_progress(f"{name}: {verify(pair, converted)}")
        except ModuleNotFoundError as error:
            raise ExportError(
                f"{error.name} is not installed; run: pip install 'imagier[export,cpu,embedders]'"
            ) from error
    try:
        install_together(
            repository,
            [_installation(repository, rows[role], found) for role, found in converted.items()],
            {name: metadata.version(name) for name in ("imagier", "onnx", "torch", "transformers")},
        )
    except OSError as error:
        raise ExportError(f"{name}: cannot be written to {repository}: {error.strerror}") from error
    megabytes = " and ".join(f"{(len(found.graph) + len(found.weights)) / 1e6:.1f} MB" for found in converted.values())
    on_progress(f"{name}: installed, {pair.dimension} dimensions, {megabytes}")


def _folder(source: HubModel | CheckpointFolder, scratch: Path) -> Path:
    return source.path if isinstance(source, CheckpointFolder) else download(source, scratch)


def _installation(repository: Path, row: ModelRow, found: Converted) -> Installation:
    files = {GRAPH: found.graph} | {f"assets/{name}": content for name, content in found.assets.items()}
    if found.weights:
        files["1/model.weights"] = found.weights
    config = (repository / row.role / CONFIG).read_text("utf-8")
    fitted = fit_config(config, row, found.shapes)
    return Installation(row, files, fitted if fitted != config else None)
