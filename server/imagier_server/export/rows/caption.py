# SPDX-License-Identifier: Apache-2.0
"""The models of the caption task: the default captioner first, then those that may take its place."""

from __future__ import annotations

from imagier_server.export.model_row import BundledFile, HubModel, ModelRow

_DEFAULT = ModelRow(
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
    convert="flickr_captioner_model:convert",
    verify="flickr_captioner_model:verify",
    languages=("en",),
)


def _captioner(source: HubModel, brand: str, licence: str, terms: str, quality: str) -> ModelRow:
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
        convert="checkpoint_models:convert",
        verify="checkpoint_models:verify",
        languages=("en",),
    )


_SALESFORCE = (
    "Weights by Salesforce, BSD-3-Clause according to their page; read by the code of transformers (Apache-2.0)."
)

ROWS = (
    _DEFAULT,
    _captioner(
        HubModel("Salesforce/blip-image-captioning-base", "82a37760796d32b1411fe092ab5d4e227313294b"),
        "blip-base",
        "BSD-3-Clause",
        _SALESFORCE,
        "COCO (Karpathy test) CIDEr 133.5, BLEU-4 39.9, fine-tuned (benchmark page of Salesforce LAVIS, BLIP base)",
    ),
    _captioner(
        HubModel("Salesforce/blip-image-captioning-large", "353689b859fcf0523410b1806dace5fb46ecdf41"),
        "blip-large",
        "BSD-3-Clause",
        _SALESFORCE,
        "COCO (Karpathy test) CIDEr 136.7, fine-tuned (arXiv:2201.12086, BLIP ViT-L)",
    ),
    _captioner(
        HubModel("florence-community/Florence-2-base", "main"),
        "florence-2-base",
        "MIT",
        "Weights by Microsoft, MIT according to their page, in the format of transformers; read by its code (Apache-2.0).",
        "COCO (Karpathy test) CIDEr 133.0, zero-shot (model card of microsoft/Florence-2-base)",
    ),
)
