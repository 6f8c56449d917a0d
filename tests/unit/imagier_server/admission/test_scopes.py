# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
from imagier_server.admission.admission import Admission
from imagier_server.admission.scopes import scoped
from imagier_server.call import TASKS, Identity
from imagier_server.errors import ForbiddenError, UnauthenticatedError
from imagier_server.messages import AnnotateRequest, KeywordsRequest
from imagier_server.tasks.ocr.values import OcrOptions
from imagier_server.tasks.tags.values import TagsOptions
from support.calls import call

TWO_TASKS = AnnotateRequest(b"picture", {"tags": TagsOptions(), "ocr": OcrOptions()})


class Keyring:
    """Whose keys are valid until they are revoked."""

    def __init__(self, *revoked: str) -> None:
        self.revoked = revoked

    async def check(self, identity: Identity) -> None:
        if identity.key_id in self.revoked:
            raise UnauthenticatedError("revoked")


async def admitted(*scopes: str, work: AnnotateRequest | KeywordsRequest = TWO_TASKS, revoked: str = "") -> None:
    whose = replace(call(), identity=Identity("k1", "library", frozenset(scopes)))
    async with Admission([scoped(Keyring(revoked))]).admit(work, whose):
        pass


async def test_a_scope_is_a_task_and_one_is_all_of_them() -> None:
    await admitted("tags", "ocr")
    await admitted(TASKS)
    with pytest.raises(ForbiddenError, match="the task ocr") as caught:
        await admitted("tags", "admin")
    assert caught.value.field == "ocr"


async def test_words_without_a_picture_need_a_key_and_no_scope() -> None:
    await admitted(work=KeywordsRequest(("chat",)))


async def test_a_key_revoked_while_a_stream_runs_is_refused() -> None:
    await admitted(TASKS, revoked="another")
    with pytest.raises(UnauthenticatedError):
        await admitted(TASKS, revoked="k1")


async def test_a_server_without_keys_asks_for_none() -> None:
    async with Admission([scoped(None)]).admit(TWO_TASKS, call()):
        pass
