# SPDX-License-Identifier: Apache-2.0
"""Recognisers of further scripts, installed by name only. Addresses and digests are those of RapidOCR's `default_models.yaml`."""

from __future__ import annotations

from typing import Final

from imagier_server.export.model_row import ModelRow, PublishedFile

RELEASE: Final = "3.10.0"
_FOLDER = f"https://www.modelscope.cn/models/RapidAI/RapidOCR/resolve/v{RELEASE}/onnx/PP-OCRv5/rec"

# Script, model, SHA-256, languages: of those that PaddleOCR names for the model, the ones with a code that callers would send.
_MODELS = (
    (
        "arabic",
        "arabic",
        "c1192e632d0baa9146ae5b756a0e635e3dc63c1733737ebfd1629e87144e9295",
        "ar fa ug ur ps ku-Arab sd",
    ),
    (
        "cyrillic",
        "cyrillic",
        "90f761b4bfcce0c8c561c0cb5c887b0971d3ec01c32164bdf7374a35b0982711",
        "ru be uk sr-Cyrl bg mn kk ky mk tt tg cv",
    ),
    (
        "devanagari",
        "devanagari",
        "d6f0a906580e3fa6b324a318718f1f31f268b6ea8ef985f91c2012a37f52c91e",
        "hi mr ne sa mai bho",
    ),
    ("greek", "el", "b4368bccd557123c702b7549fee6cd1e94b581337d1c9b65310f109131542b7f", "el"),
    ("korean", "korean", "cd6e2ea50f6943ca7271eb8c56a877a5a90720b7047fe9c41a2e541a25773c9b", "ko"),
    ("tamil", "ta", "a42448808b7dea87597336f12438935f40353f1949e8360acd9e06b4da21bfe1", "ta"),
    ("telugu", "te", "a3690451b50028a09a3316a1274f7c05728151ea3f8fd392696397a7fefcbd92", "te"),
    ("thai", "th", "de541dd83161c241ff426f7ecfd602a0ba77d686cf3ab9a6c255ea82fd08006e", "th"),
)

ROWS = tuple(
    ModelRow(
        role=f"text_recognizer_{script}",
        task="ocr",
        brand=f"{model}_PP-OCRv5_rec_mobile",
        source=PublishedFile(f"{_FOLDER}/{model}_PP-OCRv5_rec_mobile.onnx", RELEASE, sha256),
        recipe=1,
        code_licence="Apache-2.0",
        weights_licence="Apache-2.0",
        terms="Weights by Baidu and the PaddleOCR authors, converted to ONNX by RapidOCR; Apache-2.0 for both.",
        research_only=False,
        inputs="pixels UINT8 [N, 48, W, 3], RGB, one line of text each, W a multiple of 8",
        outputs="token_ids INT32 [N, W / 8], 0 is CTC's blank; confidences FP32 [N, W / 8], their probabilities",
        quality="not measured here",
        convert="ocr_models:convert_recognizer",
        verify="ocr_models:verify_recognizer",
        languages=tuple(languages.split()),
        config_of="text_recognizer",
    )
    for script, model, sha256, languages in _MODELS
)
