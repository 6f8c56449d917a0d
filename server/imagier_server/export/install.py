# SPDX-License-Identifier: Apache-2.0
"""Stage 5 of an export: replaces the old model by the verified one, file by file, `models.lock` last."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
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


def install(
    repository: Path, row: ModelRow, files: Mapping[str, bytes], tools: Mapping[str, str], config: str | None = None
) -> LockedModel:
    """Install `files` (paths relative to the role's folder) in `repository`, and `config` as its config.pbtxt. Raises `OSError`.

    All files are written beside their targets before the first rename: a full disk or an early kill changes nothing. After a kill
    between two renames the files do not match `models.lock`: the model is not ready, and the next export repairs it. An engine
    that has the old file open keeps it. The caller holds the repository's lock.
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
        # Not in models.lock: an operator may change its instances and threads.
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
    """A role's `config`, comments kept, with the digest and recipe of `row` and the tensors' `shapes` per row."""
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
    """A hidden name, which Triton ignores; always the same, so that the remains of a killed export are overwritten."""
    return target.with_name(f".{target.name}{PARTIAL_SUFFIX}")
