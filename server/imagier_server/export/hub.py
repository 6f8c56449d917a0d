# SPDX-License-Identifier: Apache-2.0
"""Stage 2 of an export for checkpoints of transformers: looks up and downloads from the Hugging Face hub or a folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from imagier_server.export.errors import ExportError
from imagier_server.export.model_row import CheckpointFolder, HubModel

# In order of preference. The second is a pickle, from which transformers reads only tensors.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")

_COMMIT = re.compile("[0-9a-f]{40}")


def look_up(source: HubModel | CheckpointFolder) -> HubModel | CheckpointFolder:
    """Return `source` with the commit, digest and size of its weights, without a download. Raises `ExportError`."""
    if isinstance(source, HubModel):
        with _hub(source):
            from huggingface_hub import HfApi  # noqa: PLC0415

            found = HfApi().model_info(source.name, revision=source.revision, files_metadata=True)
        files = {file.rfilename: file.lfs for file in found.siblings or ()}
        lfs = next((lfs for name in _WEIGHTS if (lfs := files.get(name))), None)
        if lfs is None or found.sha is None:
            raise ExportError(f"{source.name} has none of {', '.join(_WEIGHTS)} on the hub")
        if _COMMIT.fullmatch(source.revision) and found.sha != source.revision:
            raise ExportError(f"{source.name}: the hub answers with commit {found.sha}, pinned is {source.revision}")
        return replace(source, revision=found.sha, sha256=lfs.sha256, size=lfs.size)
    path = _weights(source.path)
    try:
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        return replace(source, sha256=digest, size=path.stat().st_size)
    except OSError as error:
        raise ExportError(f"{path.name} of the checkpoint cannot be read: {error.strerror}") from error


def download(source: HubModel, folder: Path) -> Path:
    """Download a resolved `source` to `folder`; progress bars on standard error. Raises `ExportError`."""
    with _hub(source):
        from huggingface_hub import HfApi, hf_hub_download  # noqa: PLC0415

        found = HfApi().model_info(source.name, revision=source.revision, files_metadata=True)
        names = [file.rfilename for file in found.siblings or ()]
        weights = next(name for name in _WEIGHTS if name in names)
        small = [
            name
            for name in names
            if "/" not in name and name.endswith((".json", ".txt", ".model")) and "index" not in name
        ]
        for name in (*small, weights):
            hf_hub_download(source.name, name, revision=source.revision, local_dir=folder)
    arrived = look_up(CheckpointFolder(folder))
    if arrived.sha256 != source.sha256:
        raise ExportError(
            f"{source.name}: {weights} arrived with SHA-256 {arrived.sha256}, expected {source.sha256}; try again"
        )
    return folder


def _weights(folder: Path) -> Path:
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise ExportError(f"{folder} has neither {' nor '.join(_WEIGHTS)}: it is no checkpoint of transformers")


@contextmanager
def _hub(source: HubModel) -> Iterator[None]:
    try:
        # An extra of its own, with the HTTP client that raises these errors.
        from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ExportError(f"{error.name} is not installed; run: pip install 'imagier[captioners]'") from error
    try:
        yield
    # RuntimeError: any transfer error of hf-xet. ValueError: not JSON, as from a proxy that wants a login.
    except (httpx.HTTPError, OSError, RuntimeError, ValueError) as error:
        raise ExportError(f"{source.name} cannot be had from the hub: {type(error).__name__}: {error}") from error
