# SPDX-License-Identifier: Apache-2.0
"""The spaces that can be installed by name: where transformers' weights are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from imagier_server.export.errors import ExportError
from imagier_server.export.model_row import CheckpointFolder, HubModel, ModelRow
from imagier_server.tasks.embedding.immich_names import DIMENSIONS

IMAGE_EMBEDDER, TEXT_EMBEDDER = "image_embedder", "text_embedder"
IMAGE_FOLDER, TEXT_FOLDER = "visual", "textual"
"""Folders of a checkpoint whose two networks were published apart."""

RECIPE = 1
"""Of both graphs; the digest and recipe in config.pbtxt follow at each installation."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_MIT = "MIT according to their authors' repository"
_OPENAI = f"Weights by OpenAI, {_MIT}; their model card is about research, and calls deployed uses out of its scope."
_LAION = "Weights by LAION, MIT according to their page; trained on LAION-2B, which nobody has cleaned."
_GOOGLE = "Weights by Google, Apache-2.0 according to their page; trained on WebLI, which is not public."
_M_CLIP = f"{_OPENAI} The network for texts by Carlsson and others (M-CLIP); its page states no licence."
_CHINESE = "Weights by OFA-Sys; their page states no licence (the code: MIT)."


@dataclass(frozen=True, slots=True)
class NamedSpace:
    """A pair of networks with its name: where the weights of each are, under which terms."""

    name: str
    image: HubModel | CheckpointFolder
    text: HubModel | CheckpointFolder
    licence: str
    terms: str
    languages: tuple[str, ...]

    def row(self, role: str, source: HubModel | CheckpointFolder) -> ModelRow:
        """The catalogue row of one of its networks."""
        pixels = role == IMAGE_EMBEDDER
        return ModelRow(
            role=role,
            task="embedding",
            brand=self.name,
            source=source,
            recipe=RECIPE,
            code_licence="Apache-2.0",
            weights_licence=self.licence,
            terms=self.terms,
            research_only=False,
            inputs="pixels UINT8 [N, S, S, 3], RGB" if pixels else "tokens INT64 [N, T], padded",
            outputs="vector FP32 [N, D], of unit length",
            quality="not stated",
            convert="embedder_models:convert",
            verify="embedder_models:verify",
            languages=() if pixels else self.languages,
        )


def _hub(image: str, licence: str, terms: str, languages: str = "en", text: str = "") -> tuple[str, str, str, str, str]:
    return image, text or image, licence, terms, languages


_SIGLIP = ("Apache-2.0", _GOOGLE)
_MANY = "ar de en es fr hi it ja ko nl pl pt ru th tr uk vi zh"
_ON_THE_HUB = {
    "ViT-B-32__openai": _hub("openai/clip-vit-base-patch32", "MIT", _OPENAI),
    "ViT-B-16__openai": _hub("openai/clip-vit-base-patch16", "MIT", _OPENAI),
    "ViT-L-14__openai": _hub("openai/clip-vit-large-patch14", "MIT", _OPENAI),
    "ViT-L-14-336__openai": _hub("openai/clip-vit-large-patch14-336", "MIT", _OPENAI),
    "ViT-B-32__laion2b-s34b-b79k": _hub("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "MIT", _LAION),
    "ViT-L-14__laion2b-s32b-b82k": _hub("laion/CLIP-ViT-L-14-laion2B-s32B-b82K", "MIT", _LAION),
    "ViT-H-14__laion2b-s32b-b79k": _hub("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "MIT", _LAION),
    "XLM-Roberta-Large-Vit-B-32": _hub(
        "openai/clip-vit-base-patch32", "not stated", _M_CLIP, _MANY, "M-CLIP/XLM-Roberta-Large-Vit-B-32"
    ),
    "XLM-Roberta-Large-Vit-L-14": _hub(
        "openai/clip-vit-large-patch14", "not stated", _M_CLIP, _MANY, "M-CLIP/XLM-Roberta-Large-Vit-L-14"
    ),
    "ViT-B-16-SigLIP__webli": _hub("google/siglip-base-patch16-224", *_SIGLIP),
    "ViT-B-16-SigLIP-256__webli": _hub("google/siglip-base-patch16-256", *_SIGLIP),
    "ViT-B-16-SigLIP-384__webli": _hub("google/siglip-base-patch16-384", *_SIGLIP),
    "ViT-B-16-SigLIP-512__webli": _hub("google/siglip-base-patch16-512", *_SIGLIP),
    "ViT-L-16-SigLIP-256__webli": _hub("google/siglip-large-patch16-256", *_SIGLIP),
    "ViT-L-16-SigLIP-384__webli": _hub("google/siglip-large-patch16-384", *_SIGLIP),
    "ViT-B-16-SigLIP2__webli": _hub("google/siglip2-base-patch16-224", *_SIGLIP, _MANY),
    "ViT-B-32-SigLIP2-256__webli": _hub("google/siglip2-base-patch32-256", *_SIGLIP, _MANY),
    "ViT-L-16-SigLIP2-256__webli": _hub("google/siglip2-large-patch16-256", *_SIGLIP, _MANY),
    "ViT-L-16-SigLIP2-384__webli": _hub("google/siglip2-large-patch16-384", *_SIGLIP, _MANY),
    "ViT-L-16-SigLIP2-512__webli": _hub("google/siglip2-large-patch16-512", *_SIGLIP, _MANY),
    # Not among Immich's: cn-clip's, which MT-Photos uses.
    "chinese-clip-vit-base-patch16": _hub("OFA-Sys/chinese-clip-vit-base-patch16", "not stated", _CHINESE, "zh"),
    "chinese-clip-vit-large-patch14": _hub("OFA-Sys/chinese-clip-vit-large-patch14", "not stated", _CHINESE, "zh"),
}

SPACES: Mapping[str, NamedSpace] = MappingProxyType(
    {
        name: NamedSpace(
            name, HubModel(image, "main"), HubModel(text, "main"), licence, terms, tuple(languages.split())
        )
        for name, (image, text, licence, terms, languages) in _ON_THE_HUB.items()
    }
)
"""The spaces whose weights are on the Hugging Face hub in the format of transformers."""


def is_space(wanted: str) -> bool:
    """Whether `wanted`, as given to `imagier models install`, is the name or the folder of a space, and no role."""
    return wanted in SPACES or wanted in DIMENSIONS or ("=" not in wanted and Path(wanted).is_dir())


def find(wanted: str, name: str) -> NamedSpace:
    """The space of a known name, or in a folder, there called `name` ("": after its digest). Raises `ExportError`."""
    if wanted in SPACES and not name:
        return SPACES[wanted]
    folder = Path(wanted)
    if not folder.is_dir():
        if name:
            raise ExportError(f"--as names what is in a folder; {wanted} is none")
        raise ExportError(
            f"{wanted} is in no place on the hub that is known here in the format of transformers; install it from a folder: "
            f"imagier models install FOLDER --as {wanted}"
        )
    if name and not _NAME.fullmatch(name):
        raise ExportError("--as takes up to 64 letters, digits, dots, hyphens and underscores")
    parts = [folder / part for part in (IMAGE_FOLDER, TEXT_FOLDER)]
    image, text = parts if all(part.is_dir() for part in parts) else (folder, folder)
    return NamedSpace(
        name,
        CheckpointFolder(image),
        CheckpointFolder(text),
        "not stated",
        "Nobody has stated the terms of this checkpoint here: whether they allow your use is for you to know.",
        (),
    )
