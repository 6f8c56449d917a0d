# SPDX-License-Identifier: Apache-2.0
"""Reads what the plugin asks for: a form as PHP's curl writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile

from imagier_server.call import TASKS, Identity
from imagier_server.errors import InvalidImageError, InvalidRequestError
from imagier_server.messages import AnnotateRequest
from imagier_server.tasks.embedding.values import NAME as VECTOR
from imagier_server.tasks.embedding.values import SpaceInfo
from imagier_server.tasks.languages import MAX_LANGUAGE, primary
from imagier_server.transport.http.asking import asked

OPTIONS = {"caption": "caption", "tagging": "tags", "ocr": "ocr"}
"""The plugin's names of what it may ask for, and our tasks."""
DIMENSION = 512
"""Numbers of a vector that the plugin's table has room for."""
_TRUE, _FALSE = {"1", "true", "on"}, {"", "0", "false", "off"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a form asks for. `image` is empty if there is a `url`; `callback` is empty if the plugin polls."""

    image: bytes
    url: str
    callback: str
    options: Mapping[str, bool]
    languages: tuple[str, ...]

    @property
    def options_text(self) -> str:
        """The options as the plugin stores them, to send them again: JSON in a string."""
        return json.dumps(self.options, separators=(",", ":"))

    def request(self, *, vector: bool = False) -> AnnotateRequest:
        """The request for its tasks, and for a `vector`, which the plugin takes but never asks for."""
        tasks = [task for option, task in OPTIONS.items() if self.options[option]]
        return asked(self.image, {task: {} for task in (*tasks, *((VECTOR,) if vector else ()))}, self.languages)


def takes_vector(space: SpaceInfo | None, identity: Identity) -> bool:
    """Whether a vector goes along: the server has some of the plugin's dimension, and the key allows them."""
    return space is not None and space.dimension == DIMENSION and bool({TASKS, VECTOR} & identity.scopes)


async def read(form: FormData) -> Asked:
    """What the form says. Raises `InvalidRequestError`, `InvalidImageError`; fields that the plugin may gain are passed over."""
    image, url = form.get("image"), _text(form, "imageUrl")
    if isinstance(image, str):
        raise InvalidImageError("this must be a file, and no text")
    if image is not None and url:
        raise InvalidRequestError("send the picture or its URL, not both", field="imageUrl")
    if image is None and not url:
        raise InvalidImageError("the form has no picture: send the file in image, or its URL in imageUrl")
    options = {option: _truth(form, option) for option in OPTIONS}
    if not any(options.values()):
        raise InvalidRequestError("nothing is asked for: choose caption, tagging or ocr", field="caption")
    language = _text(form, "language")
    if len(language) > MAX_LANGUAGE:
        raise InvalidRequestError(f"longer than {MAX_LANGUAGE} characters", field="language")
    data = await image.read() if isinstance(image, UploadFile) else b""
    if image is not None and not data:
        raise InvalidImageError("the picture file is empty")
    # A site's language is a wish: what we do not speak is answered in English.
    languages = tuple(dict.fromkeys(filter(None, (primary(language), "en"))))
    return Asked(data, url, _text(form, "callback"), options, languages)


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    if not isinstance(value, str):
        raise InvalidRequestError("this must be text, and no file", field=name)
    return value.strip()


def _truth(form: FormData, name: str) -> bool:
    """PHP's true is "1" in a form, and its false an empty string. What is not there is true."""
    text = _text(form, name).lower() if name in form else "1"
    if text not in _TRUE | _FALSE:
        raise InvalidRequestError("write 1, or nothing for no", field=name)
    return text in _TRUE
