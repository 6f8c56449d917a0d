# SPDX-License-Identifier: Apache-2.0
"""The same caller through the doors of Azure's and MT-Photos' programs, whose keys come in headers of their own."""

from __future__ import annotations

import json

from support.canary_visits import WORDS, Visit, marked
from support.running_gateway import picture


async def programs(visit: Visit) -> None:
    word, name, wrong = str(WORDS["word in the file"]), str(WORDS["file name"]), str(WORDS["wrong key"])
    files = ((marked(picture()), True), (marked(picture())[:300], False), (word.encode(), False))

    azure, key = "/azure/vision/v3.2/analyze?visualFeatures=Tags&language=", "ocp-apim-subscription-key"
    for image, good in files:
        assert await visit.post(f"{azure}en", image, "application/octet-stream", header=key) == (200 if good else 400)
        assert await visit.post(f"{azure}en", image, "application/octet-stream", wrong, key) == 401
    assert await visit.post(azure + word, marked(picture()), "application/octet-stream", header=key) == 400
    url = json.dumps({"url": f"http://10.0.0.1/{WORDS['URL']}"}).encode()
    assert await visit.post(f"{azure}en", url, "application/json", header=key) == 400

    head = f'--b\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    kind = "multipart/form-data; boundary=b"
    for image, _ in files:  # a picture that cannot be read is no failure to MT-Photos
        body = head + image + b"\r\n--b--\r\n"
        assert await visit.post("/mt-photos/ocr", body, kind, header="api-key") == 200
        assert await visit.post("/mt-photos/ocr", body, kind, wrong, "api-key") == 401
    text = json.dumps({"text": word}).encode()
    assert await visit.post("/mt-photos/clip/txt", text, "application/json", header="api-key") in {200, 501}
