# SPDX-License-Identifier: Apache-2.0
"""A SentencePiece model is read as SentencePiece's own library reads it."""

from __future__ import annotations

import pytest
import sentencepiece
from imagier_server.export.sentencepiece_model import SentencePieceModel
from support import tiny_embedders


def test_pieces_and_scores_are_those_of_the_library(tmp_path):
    path = tiny_embedders.siglip(tmp_path / "siglip") / "spiece.model"
    library = sentencepiece.SentencePieceProcessor(model_file=str(path))
    model = SentencePieceModel.read(path)
    ids = range(library.get_piece_size())
    assert [piece for piece, _ in model.pieces] == [library.id_to_piece(number) for number in ids]
    assert [score for _, score in model.pieces] == pytest.approx([library.get_score(number) for number in ids])
    assert model.charsmap, "its normaliser"
