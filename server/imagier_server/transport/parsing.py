# SPDX-License-Identifier: Apache-2.0
"""Parses messages in protobuf's binary form, if they are in proportion: everything but the picture must be small."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import DecodeError
from imagier.v1 import annotator_pb2

from imagier_server.errors import MalformedRequestError, WordyRequestError
from imagier_server.transport.wire import WireError, beside

T = TypeVar("T")

WORDS_BYTES = 1 << 20
"""Maximum bytes of a request besides the picture."""

SERVICE = annotator_pb2.DESCRIPTOR.services_by_name["AnnotatorService"]
SINGLE = f"/{SERVICE.full_name}/Annotate"
STREAM = f"/{SERVICE.full_name}/AnnotateStream"
_IMAGE = annotator_pb2.AnnotateRequest.DESCRIPTOR.fields_by_name["image"].number
REQUEST = annotator_pb2.AnnotateStreamRequest.DESCRIPTOR.fields_by_name["request"].number

_PICTURES = {
    f"/{SERVICE.full_name}/Annotate": (_IMAGE,),
    STREAM: (REQUEST, _IMAGE),
}
"""The field path of the picture in a method's messages."""


def parsed(raw: bytes, method: str, parse: Callable[[bytes], T], most: int = WORDS_BYTES) -> T:
    """Parse a message of `method` ("/package.Service/Method"), with at most `most` bytes besides the picture.

    Raises `WordyRequestError`, and `MalformedRequestError` for bytes that are no message.
    """
    try:
        if beside(raw, _PICTURES.get(method, ()), most) <= most:
            return parse(raw)
    except (WireError, DecodeError):
        raise MalformedRequestError("the request cannot be parsed: see the contract for its messages") from None
    raise WordyRequestError(f"everything but the picture takes more than {most} bytes: send fewer words or vectors")
