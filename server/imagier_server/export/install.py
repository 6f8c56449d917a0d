# SPDX-License-Identifier: Apache-2.0
"""Stage 5 of an export: a verified model takes the place of the old one, each file at once, `models.lock` last."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from imagier_server.export.catalogue import ModelRow
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


def install(
    repository: Path, row: ModelRow, files: Mapping[str, bytes], tools: Mapping[str, str], config: str | None = None
) -> LockedModel:
    """Installs `files` (paths relative to the role's folder) in `repository`, and `config` as its config.pbtxt. Raises `OSError`.

    Everything is on the disk beside its target before the first file is renamed. If the disk is full, nothing has changed and
    nothing is left there. Killed before the first rename, nothing has changed; killed between two, `models.lock` disowns what it
    finds, readiness says so and the next export repairs it. An engine that has the old file open keeps it. One export at a time:
    the caller holds the repository.
    """
    folder = repository / row.role
    model = LockedModel(
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
            for path, content in sorted(files.items())
        },
        tools=tools,
    )
    everything = {folder / path: content for path, content in files.items()}
    if config is not None:
        # It is not in the record: an operator may change its instances and threads.
        everything[folder / CONFIG] = config.encode()
    everything[repository / LOCK_NAME] = write_lock_text(read_lock(repository) | {row.role: model}).encode()
    try:
        for target, content in everything.items():
            _stage(target, content)
    except BaseException:
        for target in everything:
            _partial(target).unlink(missing_ok=True)
        raise
    for target in everything:
        _put_in_place(target)
    return model


def fit_config(config: str, row: ModelRow, shapes: Mapping[str, Sequence[int]]) -> str:
    """A role's `config`, comments and all, with the digest and recipe of `row` and the tensors' `shapes` of one row each."""
    values = {"model_digest": row.source.sha256, "export_recipe": str(row.recipe)}
    for name, value in values.items():
        config = re.sub(rf'(key: "{name}" value {{ string_value: ")[^"]*', rf"\g<1>{value}", config)
    for name, shape in shapes.items():
        dims = ", ".join(map(str, shape))
        config = re.sub(
            rf'((?:name|key): "{name}" (?:value {{ )?data_type: \w+ dims: \[ )[^]]*', rf"\g<1>{dims} ", config
        )
    return config


def _stage(target: Path, content: bytes) -> None:
    target.parent.mkdir(exist_ok=True)
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
    """Hidden, so that Triton takes it for no model; always the same, so that what a killed export left is overwritten."""
    return target.with_name(f".{target.name}{PARTIAL_SUFFIX}")
