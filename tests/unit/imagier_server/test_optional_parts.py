# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from imagier_server import optional_parts
from imagier_server.settings import Settings
from support.receipts import signing_key


async def test_what_nobody_asks_for_is_not_made() -> None:
    settings = Settings()
    assert optional_parts.certificates(settings) is None
    assert optional_parts.signer(settings, {}) is None
    async with AsyncExitStack() as stack:
        assert optional_parts.tracing(settings, stack) is None


async def test_what_is_asked_for_without_its_extra_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(receipt_key=signing_key(tmp_path), traces="127.0.0.1:1")
    assert optional_parts.signer(settings, {})
    for module in ("imagier_server.receipts", "imagier_server.tracing"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"imagier\[receipts\]"):
        optional_parts.signer(settings, {})
    async with AsyncExitStack() as stack:
        with pytest.raises(ImportError, match=r"imagier\[tracing\]"):
            optional_parts.tracing(settings, stack)
