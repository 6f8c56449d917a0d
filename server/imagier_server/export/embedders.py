# SPDX-License-Identifier: Apache-2.0
"""Loads pairs of networks of transformers that put pictures and texts into one space: CLIP, SigLIP, Chinese-CLIP, XLM-R."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import (
    AltCLIPModel,
    AutoImageProcessor,
    ChineseCLIPModel,
    CLIPModel,
    SiglipModel,
    VisionTextDualEncoderModel,
)

from imagier_server.export import multilingual_clip
from imagier_server.export.embedder_tokens import read_tokenizer
from imagier_server.export.errors import ExportError


@dataclass(frozen=True, slots=True)
class Family:
    """An architecture of transformers. `context` in tokens, None: all that the network was trained with.

    `masked`: padding is hidden from the network. `whole`: it was trained to see every text padded to the context, in small letters.
    Neither is CLIP, which never looks behind the end of a text.
    """

    network: Any
    context: int | None = None
    masked: bool = False
    whole: bool = False


# The contexts: 52 is cn-clip's; 77 what OpenCLIP gives XLM-R, though it would read 512.
FAMILIES = {
    "clip": Family(CLIPModel),
    "siglip": Family(SiglipModel, whole=True),
    "chinese_clip": Family(ChineseCLIPModel, 52, masked=True),
    "altclip": Family(AltCLIPModel, 77, masked=True),
    "vision-text-dual-encoder": Family(VisionTextDualEncoderModel, 77, masked=True),
}

Resize = Literal["shortest_side_crop", "squash"]
"""How a picture of any shape gets to the network's."""

RESAMPLING = {2: "bilinear", 3: "bicubic"}
"""Filters by Pillow's numbers, which is how checkpoints name them."""


@dataclass(frozen=True, slots=True)
class ImageTower:
    """`network`: pixels UINT8 [N, S, S, 3], RGB → unit vectors [N, D]. `resize`: "squash" or "shortest_side_crop".

    `source` is transformers' own: a picture of any size through its image processor and network.
    """

    network: nn.Module
    size: int
    resize: Resize
    interpolation: str
    source: Callable[[Any], Tensor]


@dataclass(frozen=True, slots=True)
class TextTower:
    """`network`: tokens INT64 [N, T], at most `context` of a text and then `pad` → unit vectors [N, D].

    `whole`: T is the context; else as short as the longest text. `tokenizer` cuts texts to the context.
    `source` is transformers' own: a text → its token ids, padded to the context, and the vector [D] of it alone.
    """

    network: nn.Module
    tokenizer: Tokenizer
    context: int
    pad: int
    whole: bool
    source: Callable[[str], tuple[list[int], Tensor]]


def read_image_tower(folder: Path) -> ImageTower:
    """Load the network for pictures of the checkpoint in `folder` without running code of it. Raises `ExportError`."""
    family = _family(folder)
    network = _network(folder, family)
    with _reading():
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)  # type: ignore[no-untyped-call]
    size, resize = _framing(processor, network.config.vision_config.image_size)
    if processor.resample not in RESAMPLING:
        raise ExportError(f"a checkpoint that resizes by filter {processor.resample}; there are {RESAMPLING}")

    @torch.inference_mode()
    def source(picture: Any) -> Tensor:
        found = network.get_image_features(**processor(images=picture, return_tensors="pt")).pooler_output
        return normalize(found, dim=-1)[0]

    seeing = _Seeing(network, processor.image_mean, processor.image_std)
    return ImageTower(seeing, size, resize, RESAMPLING[processor.resample], source)


def read_text_tower(folder: Path) -> TextTower:
    """Load the network for texts of the checkpoint in `folder`, and its tokenizer. Raises `ExportError`."""
    if _kind(folder) == multilingual_clip.KIND:
        with _reading():
            features, family = multilingual_clip.load(folder), Family(None, 77, masked=True)
        words = features.transformer.config.vocab_size
    else:
        family = _family(folder)
        network = _network(folder, family)
        features, words = _text_features(network), network.config.text_config.vocab_size
        context = network.config.text_config.max_position_embeddings
    context = family.context or context
    with _reading():
        reference, tokenizer = read_tokenizer(folder, context, lowercase=family.whole)
    known, pad = tokenizer.get_vocab_size(), reference.pad_token_id
    if known > words or known < words // 2:
        raise ExportError(f"a tokenizer of {known} words for a network of {words}: it belongs to another")
    if pad is None:
        raise ExportError("a tokenizer without a padding token is not supported")

    @torch.inference_mode()
    def source(text: str) -> tuple[list[int], Tensor]:
        text = text.lower() if family.whole else text
        kept = {"truncation": True, "max_length": context}
        padded = reference(text, padding="max_length", padding_side="right", **kept).input_ids
        ids = torch.tensor([padded if family.whole else reference(text, **kept).input_ids])
        mask = torch.ones_like(ids) if family.masked else None
        return padded, normalize(features(ids, mask), dim=-1)[0]

    return TextTower(_Reading(features, pad, family.masked), tokenizer, context, pad, family.whole, source)


class _Seeing(nn.Module):
    """Pixels UINT8 [N, S, S, 3] → unit vectors [N, D]: a checkpoint's normalisation, its network, its projection."""

    def __init__(self, network: Any, mean: list[float], deviation: list[float]) -> None:
        super().__init__()
        self.network, self.mean, self.deviation = network, mean, deviation

    def forward(self, pixels: Tensor) -> Tensor:
        mean, deviation = (255 * torch.tensor(colours) for colours in (self.mean, self.deviation))
        normalised = ((pixels.to(torch.float32) - mean) / deviation).permute(0, 3, 1, 2)
        return normalize(self.network.get_image_features(pixel_values=normalised).pooler_output, dim=-1)


class _Reading(nn.Module):
    """Tokens INT64 [N, T] → unit vectors [N, D]; of a `masked` network the padding is hidden."""

    def __init__(self, features: nn.Module, pad: int, masked: bool) -> None:
        super().__init__()
        self.features, self.pad, self.masked = features, pad, masked

    def forward(self, tokens: Tensor) -> Tensor:
        mask = (tokens != self.pad).to(torch.int64) if self.masked else None
        return normalize(self.features(tokens, mask), dim=-1)


class _Features(nn.Module):
    """The text features of a whole network: tokens [N, T] and mask → [N, D]."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        found: Tensor = self.network.get_text_features(input_ids=tokens, attention_mask=mask).pooler_output
        return found


def _text_features(network: Any) -> Any:
    return _Features(network)


def _framing(processor: Any, side: int) -> tuple[int, Resize]:
    """The size in pixels of what the network sees, and how a picture gets there."""
    size, crop = processor.size, processor.crop_size if processor.do_center_crop else None
    square = size.height is not None and size.height == size.width
    if square and size.height == side and crop is None and processor.do_resize:
        return side, "squash"
    cropped = crop is not None and crop.height == crop.width == side
    if cropped and size.shortest_edge == side and size.longest_edge is None and processor.do_resize:
        return side, "shortest_side_crop"
    raise ExportError(
        f"a network of {side} pixels whose pictures are prepared otherwise: squash to it, or resize the shortest side and crop"
    )


def _kind(folder: Path) -> str:
    try:
        kind = json.loads((folder / "config.json").read_bytes())["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"no checkpoint of transformers: config.json cannot be read ({error})") from error
    return str(kind)


def _family(folder: Path) -> Family:
    kind = _kind(folder)
    if kind == "siglip2":
        raise ExportError(
            "a SigLIP 2 for any shape of picture (NaFlex); take one of a fixed size, whose model_type is siglip"
        )
    if kind not in FAMILIES:
        raise ExportError(
            f"a checkpoint of {kind}; there is a way for {', '.join(FAMILIES)} and {multilingual_clip.KIND}"
        )
    return FAMILIES[kind]


def _network(folder: Path, family: Family) -> Any:
    with _reading():
        network, found = family.network.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    if found["missing_keys"]:
        raise ExportError(f"the checkpoint lacks {len(found['missing_keys'])} of its network's weights")
    return network.eval()


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ExportError("sentencepiece is not installed; run: pip install 'imagier[export,cpu,embedders]'") from error
    except UnpicklingError as error:  # its text recommends running the file's code
        raise ExportError("the checkpoint cannot be read: its weights are cut short, or none of PyTorch's") from error
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        line = str(error).strip().splitlines()
        raise ExportError(f"the checkpoint cannot be read: {line[0] if line else type(error).__name__}") from error
