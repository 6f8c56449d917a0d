# SPDX-License-Identifier: Apache-2.0
"""The types that a checker knows of an answer; `make lint` reads this, nothing runs it."""

from typing import assert_type

from imagier_client import (
    Annotation,
    AsyncClient,
    Caption,
    CaptionResult,
    Client,
    Fingerprint,
    FingerprintResult,
    ImagierClientError,
    Ocr,
    OcrResult,
    Tags,
    TagsResult,
)


def of_an_annotation(annotation: Annotation) -> None:
    """By the task's options, never `None`; by the task's name, `None` if it was not asked for."""
    assert_type(annotation[Tags], TagsResult)
    assert_type(annotation[Ocr], OcrResult)
    assert_type(annotation[Caption], CaptionResult)
    assert_type(annotation[Fingerprint], FingerprintResult)
    assert_type(annotation.tags, TagsResult | None)
    assert_type(annotation.ocr, OcrResult | None)
    assert_type(annotation.caption, CaptionResult | None)
    annotation[str]  # type: ignore[index]


def of_the_blocking_client(client: Client) -> None:
    """Keys come back as the type that they have."""
    assert_type(client.annotate(b"", Tags(max_tags=5), Ocr()), Annotation)
    for key, answer in client.annotate_many([(1, "a.jpg")], Tags()):
        assert_type(key, int)
        assert_type(answer, Annotation | ImagierClientError)
    client.annotate(b"", Tags)  # type: ignore[arg-type]


async def of_the_async_client(client: AsyncClient) -> None:
    """The same as of the blocking one."""
    assert_type(await client.annotate(b"", Tags(max_tags=5), Ocr()), Annotation)
    async for key, answer in client.annotate_many([("a", b"")], Tags()):
        assert_type(key, str)
        assert_type(answer, Annotation | ImagierClientError)
    await client.annotate(b"", Tags)  # type: ignore[arg-type]
