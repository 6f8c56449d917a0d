# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json

import pytest
from imagier_server.call import Identity
from imagier_server.errors import ImagierError
from imagier_server.tasks.embedding.values import SpaceInfo
from imagier_server.transport.http.facades.piwigo import asked
from starlette.datastructures import FormData, UploadFile


def form(**fields: str | bytes) -> FormData:
    return FormData(
        [
            (name, UploadFile(io.BytesIO(v), filename="a.jpg") if isinstance(v, bytes) else v)
            for name, v in fields.items()
        ]
    )


async def test_true_is_1_false_is_empty_and_what_is_missing_is_true() -> None:
    found = await asked.read(form(image=b"x", caption="1", tagging=""))
    assert dict(found.options) == {"caption": True, "tagging": False, "ocr": True}
    assert json.loads(found.options_text) == {"caption": True, "tagging": False, "ocr": True}
    assert set(found.request().tasks) == {"caption", "ocr"}
    assert found.request().image == b"x"


@pytest.mark.parametrize(
    ("language", "languages"),
    [
        ("fr_FR", ("fr", "en")),
        ("en_UK", ("en",)),
        ("zh_CN", ("zh", "en")),
        ("pt_BR", ("pt", "en")),
        ("", ("en",)),
    ],
)
async def test_the_language_of_a_site_and_english_for_what_has_none(language: str, languages: tuple[str, ...]) -> None:
    assert (await asked.read(form(image=b"x", language=language))).request().languages == languages


@pytest.mark.parametrize(
    ("dimension", "scopes", "whether"),
    [
        (512, {"tasks"}, True),
        (512, {"embedding"}, True),
        (512, {"tags"}, False),
        (768, {"tasks"}, False),
        (0, {"tasks"}, False),
    ],
)
async def test_a_vector_goes_along_if_its_dimension_and_the_key_allow(
    dimension: int, scopes: set[str], whether: bool
) -> None:
    space = SpaceInfo("s", dimension) if dimension else None
    assert asked.takes_vector(space, Identity("k1", "library", frozenset(scopes))) is whether
    found = await asked.read(form(image=b"x", caption="", ocr=""))
    assert set(found.request(vector=True).tasks) == {"tags", "embedding"}


async def test_a_url_in_place_of_the_file() -> None:
    found = await asked.read(form(imageUrl="https://photos.example.org/upload/a.jpg", callback=""))
    assert (found.url, found.image, found.callback) == ("https://photos.example.org/upload/a.jpg", b"", "")


async def test_what_a_newer_plugin_may_send_is_passed_over() -> None:
    assert (await asked.read(form(image=b"x", allow_new_tags="1"))).image == b"x"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "image"),
        ({"image": "text"}, "image"),
        ({"image": b""}, "image"),
        ({"image": b"x", "imageUrl": "https://a.example/"}, "imageUrl"),
        ({"image": b"x", "caption": "maybe"}, "caption"),
        ({"image": b"x", "caption": "", "tagging": "", "ocr": ""}, "caption"),
        ({"image": b"x", "language": "x" * 65}, "language"),
        ({"image": b"x", "language": b"fr"}, "language"),
        ({"image": b"x", "ocr": b"1"}, "ocr"),
        ({"imageUrl": b"x"}, "imageUrl"),
        ({"image": b"x", "callback": b"x"}, "callback"),
    ],
)
async def test_bad_fields_are_named(fields: dict[str, str | bytes], field: str) -> None:
    with pytest.raises(ImagierError) as refused:
        await asked.read(form(**fields))
    assert refused.value.field == field
