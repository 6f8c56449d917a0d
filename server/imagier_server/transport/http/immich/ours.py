# SPDX-License-Identifier: Apache-2.0
"""Answers what we serve of a request. Tasks about a picture share one decode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from imagier_server.call import CallContext
from imagier_server.errors import InvalidRequestError
from imagier_server.tasks.embedding.values import Embedding, EmbedTextRequest, SpaceInfo
from imagier_server.tasks.ocr.values import Text
from imagier_server.transport.http.asking import asked
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.immich import clip, ocr
from imagier_server.transport.http.immich.entries import Models, ModelTask, ModelType
from imagier_server.transport.http.immich.places import Sheet

Tasks = Mapping[ModelTask, Models]


def served(wanted: Tasks, space: SpaceInfo | None, relayed: bool) -> Tasks:
    """The tasks that we answer; `relayed`: whether a native Immich answers the others."""

    def is_ours(task: ModelTask, models: Models) -> bool:
        match task:
            case ModelTask.OCR:
                return ocr.is_ours(models)
            case ModelTask.CLIP:
                return clip.is_ours(models, space, relayed)
        return False

    return {task: models for task, models in wanted.items() if is_ours(task, models)}


async def answer(tasks: Tasks, given: Mapping[str, bytes | str], door: Door, call: CallContext) -> Mapping[str, Any]:
    """The answer about the image or the text, by task. Raises `ImagierError`: that of a task, if one fails."""
    match given:
        case {"image": bytes(image)}:
            return await _about_image(tasks, image, door, call)
        case {"text": str(text)}:
            return await _about_text(tasks, text, door, call)
    raise AssertionError(given.keys())


async def _about_image(tasks: Tasks, image: bytes, door: Door, call: CallContext) -> Mapping[str, Any]:
    options: dict[str, Mapping[str, Any]] = {}
    for task, models in tasks.items():
        if ModelType.TEXTUAL in models:
            raise InvalidRequestError("this model needs a text, and no image", field=f"{task}.{ModelType.TEXTUAL}")
        options |= {ocr.TASK: ocr.options(models)} if task is ModelTask.OCR else {clip.TASK: {}}
    # The caller gets all or nothing, and pays for the same.
    annotation = await door.annotate(replace(asked(image, options), together=True), call)
    sheet = Sheet(annotation.width, annotation.height, annotation.orientation)
    found: dict[str, Any] = {}
    for outcome in annotation.outcomes.values():
        match outcome.result:
            case Text() as text:
                found[ModelTask.OCR] = ocr.answer(text, sheet)
            case Embedding() as embedding:
                found[ModelTask.CLIP] = clip.written(embedding.vector)
            case _:
                raise AssertionError("a task that was not asked for")
    return {**found, "imageHeight": sheet.height, "imageWidth": sheet.width}


async def _about_text(tasks: Tasks, text: str, door: Door, call: CallContext) -> Mapping[str, Any]:
    if set(tasks) != {ModelTask.CLIP} or ModelType.TEXTUAL not in tasks[ModelTask.CLIP]:
        raise InvalidRequestError("this task needs an image", field="image")
    # The language that Immich sends is that of its user's screen; ours are told from the text.
    texts, _ = await door.embed(EmbedTextRequest((text,)), call)
    return {ModelTask.CLIP: clip.written(texts.embeddings[0].vector)}
