# SPDX-License-Identifier: Apache-2.0
"""CLIP, SigLIP, Chinese-CLIP and XLM-R with random weights, small enough for tests, as checkpoints in a folder."""

from __future__ import annotations

import io
import json
from pathlib import Path

import sentencepiece
import torch
from imagier_server.export.embedders import TextTower
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import (
    AltCLIPConfig,
    AltCLIPModel,
    ChineseCLIPConfig,
    ChineseCLIPModel,
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    SiglipConfig,
    SiglipModel,
    SiglipTokenizer,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
    XLMRobertaConfig,
    XLMRobertaModel,
    XLMRobertaTokenizer,
)

SIDE, DIMENSION = 32, 16
MEAN, DEVIATION = [0.48, 0.45, 0.40], [0.26, 0.26, 0.27]

TEXTS = (
    "Two dogs, running on the beach!",
    "Две собаки бегут по пляжу",
    "两只狗在沙滩上奔跑",
    "كلبان يركضان على الشاطئ",
    "समुद्र तट पर दौड़ते दो कुत्ते",
    "a " * 200 + "dog",
    "",
)
"""Four scripts and one more, a text that is too long, and none."""

VISION = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 8,
}
TEXT = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


def clip(folder: Path, dimension: int = DIMENSION) -> Path:
    """As OpenAI's; its tokenizer in two files, as old checkpoints have it."""
    alphabet = [*pre_tokenizers.ByteLevel.alphabet()]
    ends = [f"{letter}</w>" for letter in alphabet]
    vocabulary = [*sorted(alphabet), *sorted(ends), "do", "dog</w>", "<|startoftext|>", "<|endoftext|>"]
    ids = {token: number for number, token in enumerate(vocabulary)}
    tokenizer = CLIPTokenizer(vocab=ids, merges=[("d", "o"), ("do", "g</w>")], model_max_length=40)
    end = ids["<|endoftext|>"]
    text = TEXT | {"vocab_size": len(ids), "max_position_embeddings": 40}
    text |= {"eos_token_id": end, "bos_token_id": end - 1, "pad_token_id": end}
    config = CLIPConfig(text_config=text, vision_config=VISION, projection_dim=dimension)
    _random(CLIPModel(config)).save_pretrained(folder)
    tokenizer.backend_tokenizer.model.save(str(folder))
    _tokenizer_config(folder, "CLIPTokenizer", model_max_length=40)
    return _preprocessing(folder, "CLIPImageProcessor", crop=True)


def siglip(folder: Path) -> Path:
    """SigLIP: a sentencepiece model, lower case, no punctuation; the picture squashed."""
    (folder).mkdir(parents=True, exist_ok=True)
    (folder / "spiece.model").write_bytes(_pieces(pad_id=0, eos_id=1, unk_id=2, bos_id=-1))
    tokenizer = SiglipTokenizer(str(folder / "spiece.model"), model_max_length=16)
    _siglip(folder, tokenizer.vocab_size)
    _tokenizer_config(folder, "SiglipTokenizer", model_max_length=16)
    return _preprocessing(folder, "SiglipImageProcessor", crop=False)


def siglip2(folder: Path) -> Path:
    """SigLIP 2 of a fixed size: Gemma's tokenizer."""
    words = [
        "<pad>",
        "<eos>",
        "<bos>",
        "<unk>",
        "<mask>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        *"adgo",
        "do",
        "dog",
    ]
    ids = {token: number for number, token in enumerate(words)}
    made = Tokenizer(models.BPE(ids, [("d", "o"), ("do", "g")], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.add_special_tokens(words[:5])
    from tokenizers.processors import TemplateProcessing

    made.post_processor = TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    _siglip(folder, len(ids))
    made.save(str(folder / "tokenizer.json"))
    special = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    _tokenizer_config(
        folder,
        "GemmaTokenizer",
        model_max_length=16,
        padding_side="right",
        add_bos_token=False,
        add_eos_token=True,
        **special,
    )
    return _preprocessing(folder, "SiglipImageProcessor", crop=False, resample=2)


def chinese_clip(folder: Path) -> Path:
    """Chinese-CLIP: BERT's vocabulary, and a mask over the padding."""
    letters = "abcdefghijklmnopqrstuvwxyz两只狗在沙滩上奔跑собакибегутпляжу"
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *dict.fromkeys(letters),
        *dict.fromkeys(f"##{x}" for x in letters),
    ]
    text = TEXT | {"vocab_size": len(words), "max_position_embeddings": 64, "pad_token_id": 0}
    config = ChineseCLIPConfig(text_config=text, vision_config=VISION, projection_dim=DIMENSION)
    _random(ChineseCLIPModel(config)).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words), "utf-8")
    _tokenizer_config(folder, "BertTokenizer", do_lower_case=True, model_max_length=64)
    return _preprocessing(folder, "ChineseCLIPImageProcessor", crop=False)


def altclip(folder: Path) -> Path:
    """AltCLIP: XLM-R in CLIP's place."""
    words = _xlm_roberta_tokenizer(folder)
    text = TEXT | {"vocab_size": words, "max_position_embeddings": 90, "project_dim": 20, "pad_token_id": 1}
    config = AltCLIPConfig(text_config=text, vision_config=VISION, projection_dim=DIMENSION)
    _random(AltCLIPModel(config)).save_pretrained(folder)
    return _preprocessing(folder, "CLIPImageProcessor", crop=True)


def dual_encoder(folder: Path) -> Path:
    """A vision-text dual encoder of CLIP's network for pictures and XLM-R."""
    words = _xlm_roberta_tokenizer(folder)
    text = XLMRobertaConfig(**TEXT, vocab_size=words, max_position_embeddings=90, pad_token_id=1)
    vision = CLIPConfig(vision_config=VISION).vision_config
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision, text, projection_dim=DIMENSION)
    _random(VisionTextDualEncoderModel(config)).save_pretrained(folder)
    return _preprocessing(folder, "CLIPImageProcessor", crop=True)


def multilingual_clip(folder: Path) -> Path:
    """M-CLIP beside the CLIP whose space its XLM-R was taught: two folders."""
    clip(folder / "visual")
    textual = folder / "textual"
    words = _xlm_roberta_tokenizer(textual)
    shape = TEXT | {"hidden_size": 64, "num_attention_heads": 1, "num_hidden_layers": 2}
    config = XLMRobertaConfig(**shape, vocab_size=words, max_position_embeddings=90, pad_token_id=1)
    network = _random(XLMRobertaModel(config))
    projection = _random(torch.nn.Linear(64, DIMENSION))
    weights = {f"transformer.{name}": value for name, value in network.state_dict().items()}
    weights |= {f"LinearTransformation.{name}": value for name, value in projection.state_dict().items()}
    save_file(weights, textual / "model.safetensors")
    about = {
        "model_type": "M-CLIP",
        "modelBase": "xlm-roberta-large",
        "numDims": DIMENSION,
        "transformerDimensions": 64,
    }
    (textual / "config.json").write_text(json.dumps(about), "utf-8")
    return folder


FAMILIES = {
    "clip": clip,
    "siglip": siglip,
    "siglip2": siglip2,
    "chinese_clip": chinese_clip,
    "altclip": altclip,
    "dual_encoder": dual_encoder,
    "multilingual_clip": multilingual_clip,
}


def textual(made: Path) -> Path:
    """A checkpoint, or the part of it that reads texts."""
    return made / "textual" if (made / "textual").is_dir() else made


def rows(text: TextTower, ours: list[int]) -> list[list[int]]:
    """The tokens of a text as the server may lay them out: beside one of the whole context, alone, and beside a longer one."""
    padded = ours + [text.pad] * (text.context - len(ours))
    return [padded] if text.whole else [padded, ours, padded[: len(ours) + 5]]


def _siglip(folder: Path, words: int) -> None:
    text = TEXT | {"vocab_size": words, "max_position_embeddings": 16, "projection_size": 24}
    _random(SiglipModel(SiglipConfig(text_config=text, vision_config=VISION))).save_pretrained(folder)


def _xlm_roberta_tokenizer(folder: Path) -> int:
    """As XLM-R's; the number of words."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = dict.fromkeys("".join(TEXTS[:5]).replace(" ", ""))
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁dog", -3.0)]
    pieces += [(letter, -4.0) for letter in letters] + [("<mask>", 0.0)]
    XLMRobertaTokenizer(vocab=pieces).save_pretrained(folder)
    return len(pieces)


def _pieces(**ids: int) -> bytes:
    """A sentencepiece model of the texts."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.lower() for text in TEXTS if text),
        model_writer=written,
        vocab_size=120,
        hard_vocab_limit=False,
        character_coverage=1.0,
        minloglevel=2,
        **ids,
    )
    return written.getvalue()


def _tokenizer_config(folder: Path, kind: str, **more: object) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind} | more), "utf-8")


def _preprocessing(folder: Path, kind: str, *, crop: bool, resample: int = 3) -> Path:
    about: dict[str, object] = {
        "image_processor_type": kind,
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "do_convert_rgb": True,
        "do_center_crop": crop,
        "resample": resample,
        "image_mean": MEAN,
        "image_std": DEVIATION,
        "size": {"shortest_edge": SIDE} if crop else {"height": SIDE, "width": SIDE},
    }
    if crop:
        about["crop_size"] = {"height": SIDE, "width": SIDE}
    (folder / "preprocessor_config.json").write_text(json.dumps(about), "utf-8")
    return folder


def _random(network):
    generator = torch.Generator().manual_seed(7)
    for weight in network.parameters():
        weight.data = torch.randn(weight.shape, generator=generator) * (0.35 if weight.dim() > 1 else 0.1)
    return network
