# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from imagier_server.export.errors import ExportError
from imagier_server.export.flickr_captioner import (
    CELLS,
    CHANNELS,
    END,
    PAD,
    START,
    UNKNOWN,
    FlickrDecoder,
    Shape,
    assets_of,
)
from safetensors.torch import load_file

SOURCE = Path(__file__).parents[4] / "model_repository/captioner/source"
SMALL = Shape(words=30, width=16, heads=2, length=7)


@pytest.fixture
def decoder() -> FlickrDecoder:
    torch.manual_seed(0)
    return FlickrDecoder(SMALL).eval()


@torch.inference_mode()
def test_a_caption_written_word_by_word_is_scored_as_in_training(decoder: FlickrDecoder) -> None:
    views = torch.randn(2, CELLS, CHANNELS)
    tokens = torch.randint(UNKNOWN + 1, SMALL.words, (2, 3, SMALL.length))
    tokens[..., 0] = START
    trained = decoder.score(decoder(views, tokens))

    memory = decoder.look(views)
    first, caches = decoder.begin(memory)
    caches = [cache[:, None].expand(-1, 3, -1, -1, -1) for cache in caches]
    written = [first[:, None].expand(-1, 3, -1)]
    for position in range(SMALL.length - 1):
        scores, caches = decoder.step(tokens[..., position + 1], torch.tensor(position), memory, caches)
        written.append(scores)

    sayable = decoder.sayable
    torch.testing.assert_close(torch.stack(written, 2)[..., sayable], trained[..., sayable], rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_padding_start_and_unknown_words_are_never_said(decoder: FlickrDecoder) -> None:
    scores, _ = decoder.begin(decoder.look(torch.randn(4, CELLS, CHANNELS)))
    probabilities = scores.softmax(-1)
    assert probabilities[:, [PAD, START, UNKNOWN]].max() == 0
    assert probabilities[:, END].min() > 0


@torch.inference_mode()
def test_captions_and_pictures_do_not_see_one_another(decoder: FlickrDecoder) -> None:
    views = torch.randn(2, CELLS, CHANNELS)
    tokens = torch.randint(UNKNOWN + 1, SMALL.words, (2, 3, SMALL.length))
    together = decoder(views, tokens)
    torch.testing.assert_close(decoder(views[1:], tokens[1:, 2:])[0, 0], together[1, 2], rtol=1e-4, atol=1e-4)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Where a decoder would be; what belongs to it lies beside."""
    for name in ("captioner.json", "tokenizer.json"):
        shutil.copy(SOURCE / name, tmp_path)
    return tmp_path / "decoder.safetensors"


@pytest.fixture(scope="module")
def words() -> int:
    return len(load_file(SOURCE / "decoder.safetensors")["words.weight"])


def test_what_lies_beside_the_weights_goes_with_them(weights: Path, words: int) -> None:
    assert assets_of(weights, words) == {
        name: (SOURCE / name).read_bytes() for name in ("captioner.json", "tokenizer.json")
    }


@pytest.mark.parametrize("name", ["captioner.json", "tokenizer.json"])
def test_what_the_server_could_not_read_is_refused(weights: Path, words: int, name: str) -> None:
    weights.with_name(name).write_bytes(b"garbage")
    with pytest.raises(ExportError, match=r"beside decoder\.safetensors is damaged or missing"):
        assets_of(weights, words)


@pytest.mark.parametrize(("old", "new", "more"), [("a", "a", 1), ("<end>", "<stop>", 0)], ids=["count", "end"])
def test_a_tokenizer_of_other_weights_is_refused(weights: Path, words: int, old: str, new: str, more: int) -> None:
    text = weights.with_name("tokenizer.json").read_text("utf-8")
    weights.with_name("tokenizer.json").write_text(text.replace(json.dumps(old), json.dumps(new)), "utf-8")
    with pytest.raises(ExportError, match=f"has not the {words + more} words"):
        assets_of(weights, words + more)
