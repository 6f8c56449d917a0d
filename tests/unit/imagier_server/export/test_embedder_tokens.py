# SPDX-License-Identifier: Apache-2.0
"""The tokenizer that is served makes the tokens of transformers' own, for each family, in five scripts."""

from __future__ import annotations

import pytest
from support.tiny_embedders import FAMILIES, TEXTS
from tokenizers import Tokenizer


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_has_the_tokens_of_transformers(family, text_tower):
    text = text_tower(family)
    served = Tokenizer.from_str(text.tokenizer.to_str())
    lengths = set()
    for words in TEXTS:
        ours = served.encode(words).ids
        assert ours + [text.pad] * (text.context - len(ours)) == text.source(words)[0]
        lengths.add(len(ours))
    assert max(lengths) == text.context, "one text is longer than any context"
    assert min(lengths) < 10
