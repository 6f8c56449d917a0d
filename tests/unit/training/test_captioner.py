# SPDX-License-Identifier: Apache-2.0
"""The trainer, from an archive of photographs to weights and words, on a few made ones and for two epochs."""

from __future__ import annotations

import csv
import io
import sys
import tarfile

import captioner
import pytest
import torch
from imagier_server.export import flickr_captioner
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer

COLOURS = ("red", "green", "blue", "white")


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [("image", "split", "caption")]
    with tarfile.open(folder / "images-224.tar", "w") as archive:
        for number in range(36):
            colour = COLOURS[number % len(COLOURS)]
            picture = io.BytesIO()
            Image.new("RGB", (224, 224), colour).save(picture, "JPEG")
            member = tarfile.TarInfo(f"images/{number}.jpg")
            member.size = picture.tell()
            picture.seek(0)
            archive.addfile(member, picture)
            split = "train" if number < 34 else "validation"
            rows += [(f"{number}.jpg", split, f"A {colour} wall , seen once{number} .")] * 5
    with (folder / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def test_from_photographs_to_weights_and_words(data, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    arguments = ["--data", str(data), "--work", str(tmp_path / "work"), "--epochs", "2", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["captioner.py", *arguments])
    captioner.main()

    assert sum("loss" in line for line in capsys.readouterr().out.splitlines()) == 2
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    assert set(tokenizer.get_vocab()) >= {*flickr_captioner.SPECIALS, *COLOURS, "a", "wall", "seen"}
    assert tokenizer.token_to_id("once35") is None, "of the validation split"
    weights = load_file(out / "decoder.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float16}
    network = flickr_captioner.FlickrDecoder(flickr_captioner.Shape(words=tokenizer.get_vocab_size()))
    network.load_state_dict({name: weight.float() for name, weight in weights.items()})
