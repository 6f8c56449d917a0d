# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from imagier_server.errors import UnknownModelError
from imagier_server.transport.codecs.registry import BUILT_IN
from imagier_server.transport.http.dialect.models import find, offered
from support.asked_models import catalogue, model


def tasks(name: str) -> list[str]:
    return [task.name for task in model(name).tasks]


def test_one_model_stands_for_all_tasks_and_one_for_each() -> None:
    assert list(offered(catalogue())) == ["imagier", "imagier-caption", "imagier-tags", "imagier-ocr"]
    assert tasks("imagier") == ["caption", "tags", "ocr"]
    assert tasks("imagier-ocr") == ["ocr"]


def test_a_task_whose_model_is_not_installed_is_in_none() -> None:
    assert list(offered(catalogue("tags"))) == ["imagier", "imagier-tags"]
    assert [task.name for task in model("imagier", "tags").tasks] == ["tags"]


def test_latest_is_the_tag_of_every_model() -> None:
    assert tasks("imagier-tags:latest") == ["tags"]


@pytest.mark.parametrize("name", ["", "llava", "imagier-faces", "imagier:7b", "imagier:latest:latest", "Imagier"])
def test_an_unknown_model_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(UnknownModelError, match="imagier, imagier-caption, imagier-tags, imagier-ocr") as refused:
        find(offered(catalogue()), name)
    assert refused.value.field == "model"
    assert "llava" not in refused.value.text


def test_the_digest_says_which_weights_answer() -> None:
    digests = {each.digest for each in offered(catalogue()).values()}
    assert len(digests) == 4
    assert {len(digest) for digest in digests} == {64}
    assert model("imagier").digest != model("imagier", "tags", "ocr").digest
    assert model("imagier-tags").digest == model("imagier-tags", "tags").digest


def test_no_two_tasks_fill_one_field() -> None:
    names = [name for codec in BUILT_IN if codec.words for name in codec.words.fields]
    assert sorted(names) == sorted(set(names))
    assert set(model("imagier").fields) == set(names)
