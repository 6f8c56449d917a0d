# SPDX-License-Identifier: Apache-2.0
"""Matches a library's keywords: work without a picture, admitted and recorded like one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from imagier_server.admission.admission import Admission
from imagier_server.call import CallContext
from imagier_server.messages import KeywordsRequest
from imagier_server.recording import Recorder
from imagier_server.tasks.languages import check_languages
from imagier_server.tasks.tags.values import KeywordMatches


class Keywords(Protocol):
    """What the keywords of a caller's library mean."""

    def check(self, keywords: Sequence[str], field: str) -> None: ...

    def match(
        self, keywords: Sequence[str], languages: Sequence[str], keyword_languages: Sequence[str]
    ) -> KeywordMatches: ...


@dataclass(frozen=True, slots=True)
class KeywordMatching:
    """One server's keyword matching."""

    keywords: Keywords
    admission: Admission
    recorder: Recorder
    threads: Executor

    async def match(self, request: KeywordsRequest, call: CallContext) -> KeywordMatches:
        """Match keywords; refused rather than queued over capacity. Raises `ImagierError`."""
        with self.recorder.keywords(call):
            self.keywords.check(request.keywords, "keywords")
            check_languages(request.languages)
            check_languages(request.keyword_languages, "keyword_languages")
            async with self.admission.admit(request, call):
                return await asyncio.get_running_loop().run_in_executor(
                    self.threads, self.keywords.match, request.keywords, request.languages, request.keyword_languages
                )
