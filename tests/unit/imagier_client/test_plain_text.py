# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from imagier_client.plain_text import decoded


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_people_save_is_read(encoding: str) -> None:
    assert decoded("métier\n猫\n".encode(encoding)) == "métier\n猫\n"


@pytest.mark.parametrize("content", ["a\ncaf\xe9\n".encode("latin-1"), "a\ncat\n".encode("utf-16-be"), b"\xff\xfe\x00"])
def test_anything_else_is_told_by_its_line_with_what_to_do(content: bytes) -> None:
    with pytest.raises(UnicodeError, match=r"line \d is no text in UTF-(8|16): save it as UTF-8"):
        decoded(content)
