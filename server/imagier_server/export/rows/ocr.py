# SPDX-License-Identifier: Apache-2.0
"""The models of the OCR task."""

from __future__ import annotations

from imagier_server.export.model_row import ModelRow, PackageFile

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


ROWS = (
    ModelRow(
        role="text_detector",
        task="ocr",
        brand="PP-OCRv6_det_small",
        source=_rapidocr(
            "PP-OCRv6_det_small.onnx", "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f", 9929594
        ),
        recipe=2,
        code_licence="Apache-2.0",
        weights_licence="Apache-2.0",
        terms=_PADDLE_TERMS,
        research_only=False,
        inputs="pixels UINT8 [N, H, W, 3], RGB, H and W multiples of 32",
        outputs="probability UINT8 [N, H, W], 255 times the probability that a pixel belongs to text",
        quality="Hmean 84.1 % on PaddleOCR's own benchmark of 16 categories (PP-OCRv6 introduction)",
        convert="ocr_models:convert_detector",
        verify="ocr_models:verify_detector",
    ),
    ModelRow(
        role="text_line_orienter",
        task="ocr",
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
        convert="ocr_models:convert_orienter",
        verify="ocr_models:verify_orienter",
    ),
    ModelRow(
        role="text_recognizer",
        task="ocr",
        brand="PP-OCRv6_rec_small",
        source=_rapidocr(
            "PP-OCRv6_rec_small.onnx", "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884", 21234383
        ),
        recipe=2,
        code_licence="Apache-2.0",
        weights_licence="Apache-2.0",
        terms=_PADDLE_TERMS,
        research_only=False,
        inputs="pixels UINT8 [N, 48, W, 3], RGB, one line of text each, W a multiple of 8",
        outputs="token_ids INT32 [N, W / 8], 0 is CTC's blank; confidences FP32 [N, W / 8], their probabilities",
        quality="accuracy 81.3 % on PaddleOCR's own benchmark of 15 categories (PP-OCRv6 introduction)",
        convert="ocr_models:convert_recognizer",
        verify="ocr_models:verify_recognizer",
        languages=_PADDLE_LANGUAGES,
    ),
)
