# SPDX-License-Identifier: Apache-2.0
"""Turns a checkpoint's tokenizer into one file of the library tokenizers that cuts texts to the network's context."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, SiglipTokenizer, XLMRobertaTokenizer

from imagier_server.export.errors import ExportError
from imagier_server.export.sentencepiece_model import SentencePieceModel

# Without any of these files transformers makes an empty tokenizer.
FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")


def read_tokenizer(folder: Path, context: int, *, lowercase: bool) -> tuple[Any, Tokenizer]:
    """Transformers' tokenizer of the checkpoint in `folder`, and the same for serving, which cuts texts to `context` tokens.

    `lowercase`: the network knows small letters only, whatever its tokenizer makes of capitals. Raises `ExportError`.
    """
    if not any((folder / name).is_file() for name in FILES):
        raise ExportError("the checkpoint has no tokenizer")
    if (folder / "spiece.model").is_file():
        reference = SiglipTokenizer.from_pretrained(folder, local_files_only=True)
        served = from_siglip(reference)
    else:
        kind = XLMRobertaTokenizer if (folder / "sentencepiece.bpe.model").is_file() else AutoTokenizer
        reference = kind.from_pretrained(folder, local_files_only=True)
        served = Tokenizer.from_str(reference.backend_tokenizer.to_str())
        if lowercase:
            steps = [normalizers.Lowercase(), *([served.normalizer] if served.normalizer else [])]
            served.normalizer = normalizers.Sequence(steps)
    served.no_padding()
    served.enable_truncation(max_length=context)
    return reference, served


def from_siglip(slow: Any) -> Tokenizer:
    """SigLIP's sentencepiece model as transformers' `SiglipTokenizer` runs it: lower case, without punctuation, one end token."""
    model = SentencePieceModel.read(Path(slow.vocab_file))
    tokenizer = Tokenizer(models.Unigram(list(model.pieces), slow.unk_token_id))
    steps: list[Any] = [
        normalizers.Lowercase(),
        normalizers.Replace(Regex(f"[{re.escape(string.punctuation)}]"), ""),
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Strip(),
    ]
    if model.charsmap:
        steps.append(normalizers.Precompiled(model.charsmap))
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens([slow.eos_token])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {slow.eos_token}", special_tokens=[(slow.eos_token, slow.eos_token_id)]
    )
    return tokenizer
