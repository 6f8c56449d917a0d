# SPDX-License-Identifier: Apache-2.0
"""Hooks for schemathesis: where the document asks for a picture file, take one."""

from __future__ import annotations

import base64
import io

import schemathesis
from hypothesis import strategies as st
from PIL import Image

_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF", "image/tiff": "TIFF"}


def _file(fmt: str) -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").resize((64, 48)).convert("RGB").save(file, fmt)
    return file.getvalue()


FILES = {kind: _file(fmt) for kind, fmt in _FORMATS.items()}
OTHER = ("image/avif", "image/heic", "image/bmp", "image/jp2", "application/octet-stream")

for kind, content in FILES.items():
    schemathesis.openapi.media_type(kind, st.just(content))
for kind in OTHER:
    schemathesis.openapi.media_type(kind, st.sampled_from(list(FILES.values())))  # the format is detected, not believed
schemathesis.openapi.format("binary", st.sampled_from(list(FILES.values())))
schemathesis.openapi.format(
    "picture", st.sampled_from([base64.b64encode(content).decode() for content in FILES.values()])
)
