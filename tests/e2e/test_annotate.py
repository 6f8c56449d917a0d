# SPDX-License-Identifier: Apache-2.0
"""A photo in, tags and text out: the real models behind the real Triton."""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import samples
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, catalog_pb2, ocr_pb2, tags_pb2
from PIL import Image
from support.real_server import encoded

Stub = annotator_pb2_grpc.AnnotatorServiceStub
# The beginning of the page that scikit-image carries.
PAGE = "Region-based segmentation"


def ask(
    image: bytes, *, text: bool = False, languages: tuple[str, ...] = (), **options: object
) -> annotator_pb2.AnnotateRequest:
    return annotator_pb2.AnnotateRequest(
        image=image,
        languages=languages,
        tags=tags_pb2.TagsOptions(**options),
        ocr=ocr_pb2.OcrOptions(words=True) if text else None,
    )


def names(answer: annotator_pb2.AnnotateResponse, language: str = "en") -> list[str]:
    return [tag.names[language] for tag in answer.tags.tags]


@pytest.mark.parametrize(
    ("photograph", "expected"), [("chelsea", "cat"), ("coffee", "coffee"), ("sign", "street sign")]
)
def test_tags_of_pictures(stub: Stub, photographs: dict[str, bytes], photograph: str, expected: str) -> None:
    answer = stub.Annotate(ask({**photographs, "sign": encoded(samples.street_sign())}[photograph]))
    assert answer.tags.status.code == 0
    assert expected in names(answer)
    assert all(0.25 <= tag.score <= 1 for tag in answer.tags.tags)
    assert len(answer.tags.tags) <= 8


def test_a_panorama_is_seen_from_end_to_end(stub: Stub, photographs: dict[str, bytes]) -> None:
    parts = [Image.open(io.BytesIO(photographs[name])).convert("RGB") for name in ("chelsea", "page", "coffee")]
    wide = np.concatenate([np.asarray(part.resize((part.width * 300 // part.height, 300))) for part in parts], axis=1)
    assert {"cat", "coffee"} <= set(names(stub.Annotate(ask(encoded(Image.fromarray(wide))))))


def test_names_in_three_languages(stub: Stub, photographs: dict[str, bytes]) -> None:
    answer = stub.Annotate(ask(photographs["chelsea"], languages=("en", "fr", "zh")))
    cat = next(tag for tag in answer.tags.tags if tag.names["en"] == "cat")
    assert dict(cat.names) == {"en": "cat", "fr": "chat", "zh": "猫"}


def test_what_the_picture_carries_already_is_not_repeated(stub: Stub, photographs: dict[str, bytes]) -> None:
    assert "cat" in names(stub.Annotate(ask(photographs["chelsea"])))
    assert "cat" not in names(stub.Annotate(ask(photographs["chelsea"], existing_tags=["Chat"])))


def test_the_text_of_a_page(stub: Stub, photographs: dict[str, bytes]) -> None:
    answer = stub.Annotate(ask(photographs["page"], text=True))
    assert answer.ocr.status.code == 0
    first = answer.ocr.lines[0]
    assert difflib.SequenceMatcher(None, answer.ocr.text.split("\n")[0], PAGE).ratio() > 0.9
    assert answer.ocr.text.split("\n") == [line.text for line in answer.ocr.lines]
    assert " ".join(word.text for word in first.words) == first.text
    for line in answer.ocr.lines:
        assert 0.5 <= line.confidence <= 1
        assert len(line.polygon) == len(line.normalized_polygon) == 4
        for point, fraction in zip(line.polygon, line.normalized_polygon, strict=True):
            assert 0 <= point.x <= answer.width
            assert 0 <= point.y <= answer.height
            assert fraction.x == pytest.approx(point.x / answer.width, abs=1e-5)
    tops = [line.polygon[0].y for line in answer.ocr.lines]
    assert tops == sorted(tops), "reading order"


def test_a_receipt_reads_as_it_was_drawn(stub: Stub) -> None:
    answer = stub.Annotate(ask(encoded(samples.receipt()), text=True))
    assert "TOTAL" in answer.ocr.text.upper()
    assert len(answer.ocr.lines) > 5


def test_a_picture_without_text(stub: Stub, photographs: dict[str, bytes]) -> None:
    answer = stub.Annotate(ask(photographs["rocket"], text=True))
    assert answer.ocr.status.code == 0
    assert answer.ocr.text == ""


def test_many_callers_at_once_get_their_own_answers(stub: Stub, photographs: dict[str, bytes]) -> None:
    """Concurrent requests share batches in Triton; nobody may see another's row."""
    alone = {
        name: stub.Annotate(ask(image, min_score=0.0, max_tags=50)).tags.tags for name, image in photographs.items()
    }
    order = list(photographs) * 8
    with ThreadPoolExecutor(len(order)) as threads:
        together = list(
            threads.map(lambda name: stub.Annotate(ask(photographs[name], min_score=0.0, max_tags=50)).tags.tags, order)
        )
    for name, tags in zip(order, together, strict=True):
        expected = {tag.id: tag.score for tag in alone[name]}
        for tag in tags[:5]:
            assert tag.score == pytest.approx(expected[tag.id], abs=1e-3)


def test_a_stream(stub: Stub, photographs: dict[str, bytes]) -> None:
    def requests() -> Iterator[annotator_pb2.AnnotateStreamRequest]:
        for name, image in (*photographs.items(), ("broken", b"\xff\xd8\xffbroken")):
            request = ask(image, text=True)
            request.request_id = name
            yield annotator_pb2.AnnotateStreamRequest(request=request)

    outcomes = {answer.request_id: answer for answer in stub.AnnotateStream(requests())}
    assert outcomes.keys() == {*photographs, "broken"}
    assert outcomes["broken"].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "cat" in names(outcomes["chelsea"].response)
    assert PAGE.split("-", maxsplit=1)[0] in outcomes["page"].response.ocr.text


def test_a_deadline_already_past(stub: Stub, photographs: dict[str, bytes]) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        stub.Annotate(ask(photographs["page"], text=True), timeout=0.001)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_the_catalogue_of_the_real_models(stub: Stub) -> None:
    catalog = stub.GetCatalog(catalog_pb2.GetCatalogRequest())
    assert all(task.ready for task in catalog.tasks)
    assert all(model.ready and len(model.digest) == 64 for model in catalog.models)
    assert {task.name: list(task.languages) for task in catalog.tasks}["tags"] == ["en", "fr", "zh"]
