# SPDX-License-Identifier: Apache-2.0
"""Stage 5 of an export: replaces the old model by the verified one, file by file, `models.lock` last."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagier_server.export.model_row import ModelRow
from imagier_server.model_lock import (
    LOCK_NAME,
    PARTIAL_SUFFIX,
    LockedFile,
    LockedModel,
    read_lock,
    write_lock_text,
)

GRAPH = "1/model.onnx"
CONFIG = "config.pbtxt"
WARM = 32
"""The most of a free side that is warmed up: no more than any model takes."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What is installed for a role: `files` by path relative to its folder; `config` is its config.pbtxt, if that changes."""

    row: ModelRow
    files: Mapping[str, bytes]
    config: str | None = None


def install(
    repository: Path,
    row: ModelRow,
    files: Mapping[str, bytes],
    tools: Mapping[str, str],
    config: str | None = None,
    without: Sequence[str] = (),
) -> LockedModel:
    """Install one model, as `install_together`."""
    return install_together(repository, [Installation(row, files, config)], tools, without)[row.role]


def install_together(
    repository: Path, wanted: Sequence[Installation], tools: Mapping[str, str], without: Sequence[str] = ()
) -> dict[str, LockedModel]:
    """Install models in `repository` that belong together, made with `tools`; remove the roles `without`. Raises `OSError`.

    All files are written beside their targets before the first rename: a full disk or an early kill changes nothing. After a kill
    between two renames the files do not match `models.lock`: the models are not ready, and the next export repairs them. An engine
    that has the old file open keeps it. The caller holds the repository's lock.
    """
    models = {each.row.role: _locked(each, tools) for each in wanted}
    everything: dict[Path, bytes] = {}
    for each in wanted:
        folder = repository / each.row.role
        everything |= {folder / path: content for path, content in each.files.items()}
        if each.config is not None:
            # Not in models.lock: an operator may change its instances and threads.
            everything[folder / CONFIG] = each.config.encode()
    left = {role: model for role, model in read_lock(repository).items() if role not in without}
    everything[repository / LOCK_NAME] = write_lock_text(left | models).encode()
    try:
        for target, content in everything.items():
            _stage(target, content)
    except BaseException:
        for target in everything:
            _partial(target).unlink(missing_ok=True)
        raise
    for target in everything:
        _put_in_place(target)
    for role in without:
        # Triton loads every role that has a graph.
        (repository / role / GRAPH).unlink(missing_ok=True)
    return models


def _locked(wanted: Installation, tools: Mapping[str, str]) -> LockedModel:
    row = wanted.row
    return LockedModel(
        role=row.role,
        brand=row.brand,
        version=row.version,
        source=row.source.url,
        source_digest=row.source.sha256,
        recipe=row.recipe,
        licence=row.weights_licence,
        research_only=row.research_only,
        languages=row.languages,
        files={
            f"{row.role}/{path}": LockedFile(hashlib.sha256(content).hexdigest(), len(content))
            for path, content in sorted(wanted.files.items())
        },
        tools=tools,
    )


def fit_config(config: str, row: ModelRow, shapes: Mapping[str, Sequence[int]]) -> str:
    """A role's `config`, comments kept, with the digest and recipe of `row` and the tensors' `shapes` per row.

    A side of -1 is free: there a warm-up keeps its length, if that is not beyond `WARM`.
    """
    values = {"model_digest": row.source.sha256, "export_recipe": str(row.recipe)}
    for name, value in values.items():
        config = re.sub(rf'(key: "{name}" value {{ string_value: ")[^"]*', rf"\g<1>{value}", config)
    for name, shape in shapes.items():
        config = re.sub(rf'(name: "{name}" data_type: \w+ dims: \[ )[^]]*', rf"\g<1>{_sides(shape)} ", config)
        config = re.sub(
            rf'(key: "{name}" value {{ data_type: \w+ dims: \[ )([^]]*)',
            lambda found, shape=shape: f"{found[1]}{_sides(_warm(shape, found[2]))} ",  # type: ignore[misc]
            config,
        )
    return config


def _sides(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))


def _warm(shape: Sequence[int], present: str) -> list[int]:
    lengths = [int(side) for side in present.split(",")]
    fits = len(lengths) == len(shape)
    return [side if side >= 0 else min(WARM, lengths[place] if fits else WARM) for place, side in enumerate(shape)]


def _stage(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with _partial(target).open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(target: Path) -> None:
    _partial(target).replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _partial(target: Path) -> Path:
    """A hidden name, which Triton ignores; always the same, so that the remains of a killed export are overwritten."""
    return target.with_name(f".{target.name}{PARTIAL_SUFFIX}")
