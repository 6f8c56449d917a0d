# SPDX-License-Identifier: Apache-2.0
"""Loads captioners of transformers from a folder: BLIP and Florence-2, as decoders for our search."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoTokenizer,
    BlipForConditionalGeneration,
    Florence2ForConditionalGeneration,
    GenerationConfig,
)

from imagier_server.export.caption_search import SearchOptions
from imagier_server.export.cross_decoder import Attention, CrossDecoder, Layer, Parts
from imagier_server.export.errors import ExportError

BEAMS, CANDIDATES, MAX_TOKENS = 3, 3, 30

# The prompt of Florence-2's task <CAPTION>.
FLORENCE_PROMPT = "What does the image describe?"


@dataclass(frozen=True, slots=True)
class Captioner:
    """A network ready for export. `side` in pixels; `generate` is transformers' own, to compare the graph with.

    `generate`: UINT8 pixels [N, side, side, 3] and how to search → token ids and log-probabilities as `CaptionSearch` answers them.
    """

    decoder: nn.Module
    side: int
    options: SearchOptions
    generate: Callable[[Tensor, SearchOptions], tuple[Tensor, Tensor]]


def read_captioner(folder: Path) -> Captioner:
    """Load the checkpoint in `folder` without running code of it. Raises `ExportError` for another architecture."""
    try:
        kind = json.loads((folder / "config.json").read_bytes())["model_type"]
        preprocessing = json.loads((folder / "preprocessor_config.json").read_bytes())
        mean, deviation, size = (preprocessing[name] for name in ("image_mean", "image_std", "size"))
        squashes = size["height"] == size["width"] and not preprocessing.get("do_center_crop")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"no captioner of transformers: its configuration cannot be read ({error})") from error
    if not squashes:
        raise ExportError("a captioner that does not see the whole picture as a square is not supported")
    network = _network(folder, kind)
    known, needed = len(_tokenizer(folder)), network.config.get_text_config().vocab_size
    if known < needed // 2:
        raise ExportError(f"a tokenizer of {known} words for a model of {needed}: it belongs to another")
    if kind == "blip":
        return from_blip(network, mean, deviation)
    prompt = _tokenizer(folder)(FLORENCE_PROMPT).input_ids
    return from_florence(network, prompt, mean, deviation, side=preprocessing["size"]["height"])


def assets_of(folder: Path, captioner: Captioner) -> dict[str, bytes]:
    """The captioner's assets by file name: the tokenizer, and settings without calibration."""
    tokenizer = _tokenizer(folder).backend_tokenizer.to_str()
    about = {
        "side": captioner.side,
        "languages": ["en"],
        "end": captioner.options.end,
        "pad": captioner.options.pad,
        "prefix": "",
        "confidence": None,
        "min_score": 0.5,
    }
    return {"tokenizer.json": tokenizer.encode(), "captioner.json": f"{json.dumps(about)}\n".encode()}


def _network(folder: Path, kind: str) -> Any:
    classes: dict[str, Any] = {"blip": BlipForConditionalGeneration, "florence2": Florence2ForConditionalGeneration}
    if kind not in classes:
        raise ExportError(f"a checkpoint of {kind}; there is a way for {' and '.join(classes)}")
    with _reading():
        return classes[kind].from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def _tokenizer(folder: Path) -> Any:
    # Without any of these files transformers makes an empty tokenizer.
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt", "vocab.json")):
        raise ExportError(f"{folder} has no tokenizer")
    with _reading():
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ExportError(f"the checkpoint cannot be read: {error}") from error
    except UnpicklingError as error:  # its text recommends running the file's code
        raise ExportError("the checkpoint cannot be read: its weights are cut short, or none of PyTorch's") from error


def from_blip(network: Any, mean: list[float], deviation: list[float], max_tokens: int = MAX_TOKENS) -> Captioner:
    """BLIP (Li et al., 2022, arXiv:2201.12086): a vision transformer, and BERT as the decoder that looks at it."""
    network.eval()
    # Only our parameters: a checkpoint's own, such as a forced end token, are not our search's.
    network.text_decoder.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    decoder, config = network.text_decoder, network.config.text_config
    words = decoder.bert.embeddings

    def attention(part: Any) -> Attention:
        inner = getattr(part, "self")  # noqa: B009 - a keyword in all but name
        return Attention(inner.query, inner.key, inner.value, part.output.dense, part.output.LayerNorm)

    parts = Parts(
        encode=lambda pixels: network.vision_model(pixel_values=pixels).last_hidden_state,
        embed=lambda tokens, place: words.LayerNorm(words.word_embeddings(tokens) + words.position_embeddings(place)),
        layers=[
            Layer(attention(layer.attention), attention(layer.crossattention), layer.feed_forward_chunk)
            for layer in decoder.bert.encoder.layer
        ],
        head=decoder.cls,
        start=[config.bos_token_id],
        heads=config.num_attention_heads,
        mean=mean,
        deviation=deviation,
    )

    def generate(pixels: Tensor, options: SearchOptions) -> tuple[Tensor, Tensor]:
        return _answers(network.generate(_normalised(pixels, parts), **_as_generate(options)), 1, options)

    options = SearchOptions(config.sep_token_id, config.pad_token_id, max_tokens, BEAMS, CANDIDATES)
    return Captioner(
        CrossDecoder(network, parts, max_tokens), network.config.vision_config.image_size, options, generate
    )


def from_florence(
    network: Any,
    prompt: list[int],
    mean: list[float],
    deviation: list[float],
    max_tokens: int = MAX_TOKENS,
    side: int = 768,
) -> Captioner:
    """Florence-2 (Xiao et al., 2023, arXiv:2311.06242): DaViT's map and a question to BART's encoder; its decoder writes."""
    network.eval()
    network.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        decoder_start_token_id=network.config.text_config.decoder_start_token_id
    )
    config = network.config.text_config
    encoder, decoder = network.model.language_model.encoder, network.model.language_model.decoder

    def encode(pixels: Tensor) -> Tensor:
        seen = network.get_image_features(pixel_values=pixels).pooler_output
        question = network.get_input_embeddings()(torch.tensor([prompt])).expand(seen.shape[0], -1, -1)
        found: Tensor = encoder(inputs_embeds=torch.cat([seen, question], 1)).last_hidden_state
        return found

    def embed(tokens: Tensor, place: Tensor) -> Tensor:
        places = decoder.embed_positions.weight[place + decoder.embed_positions.offset]
        embedded: Tensor = decoder.layernorm_embedding(decoder.embed_tokens(tokens) + places)
        return embedded

    def attention(part: Any, norm: nn.Module) -> Attention:
        return Attention(part.q_proj, part.k_proj, part.v_proj, part.out_proj, norm)

    def wide(layer: Any) -> Callable[[Tensor], Tensor]:
        return lambda x: layer.final_layer_norm(x + layer.fc2(layer.activation_fn(layer.fc1(x))))

    # The decoder was trained with both tokens before every caption.
    start = [config.decoder_start_token_id, config.bos_token_id]
    parts = Parts(
        encode=encode,
        embed=embed,
        layers=[
            Layer(
                attention(layer.self_attn, layer.self_attn_layer_norm),
                attention(layer.encoder_attn, layer.encoder_attn_layer_norm),
                wide(layer),
            )
            for layer in decoder.layers
        ],
        head=network.lm_head,
        start=start,
        heads=config.decoder_attention_heads,
        mean=mean,
        deviation=deviation,
    )

    def generate(pixels: Tensor, options: SearchOptions) -> tuple[Tensor, Tensor]:
        normalised = _normalised(pixels, parts)
        places = network.get_image_features(pixel_values=normalised[:1]).pooler_output.shape[1]
        asked = torch.tensor([[network.config.image_token_id] * places + prompt]).expand(len(pixels), -1)
        answer = network.generate(
            input_ids=asked,
            attention_mask=torch.ones_like(asked),
            pixel_values=normalised,
            decoder_input_ids=torch.tensor([start]).expand(len(pixels), -1),
            eos_token_id=options.end,
            pad_token_id=options.pad,
            **_as_generate(options),
        )
        return _answers(answer, len(start), options)

    options = SearchOptions(config.eos_token_id, config.pad_token_id, max_tokens, BEAMS, CANDIDATES)
    return Captioner(CrossDecoder(network, parts, max_tokens), side, options, generate)


def _normalised(pixels: Tensor, parts: Parts) -> Tensor:
    return ((pixels / 255 - torch.tensor(parts.mean)) / torch.tensor(parts.deviation)).permute(0, 3, 1, 2)


def _as_generate(options: SearchOptions) -> dict[str, Any]:
    return {
        "max_new_tokens": options.max_tokens,
        "min_new_tokens": max(0, options.min_tokens - 1),  # without the end
        "num_beams": options.beams,
        "num_return_sequences": options.candidates,
        "length_penalty": options.length_penalty,
        "early_stopping": False,
        "do_sample": False,
        "return_dict_in_generate": True,
        "output_scores": True,
        "output_logits": True,
    }


def _answers(answer: Any, start: int, options: SearchOptions) -> tuple[Tensor, Tensor]:
    """The result of `generate`, without its start tokens, in the shape of `CaptionSearch`'s."""
    found = answer.sequences[:, start:]
    after_end = ((found == options.end).cumsum(1) - (found == options.end).to(torch.int64)) > 0
    found = found.masked_fill(after_end, options.pad)
    lengths = (~after_end).sum(1)
    if options.beams == 1:
        gains = torch.stack(answer.logits, 1).log_softmax(-1).gather(2, found[..., None])[..., 0]
        log_probabilities = gains.masked_fill(after_end, 0).sum(1)
    else:
        log_probabilities = answer.sequences_scores * lengths**options.length_penalty
    ids = torch.full((len(found), options.max_tokens), options.pad, dtype=torch.int32)
    ids[:, : found.shape[1]] = found
    return ids.view(-1, options.candidates, options.max_tokens), log_probabilities.view(-1, options.candidates)
