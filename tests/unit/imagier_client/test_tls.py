# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from imagier_client import InvalidRequestError, tls
from support.made_certificates import Authority


def test_what_a_channel_takes(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.issue("client")
    for made in (tls(), tls(authority.certificate), tls(str(authority.certificate), own.certificate, own.key)):
        assert isinstance(made, grpc.ChannelCredentials)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own, other = authority.issue("client"), authority.issue("other")
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense ü")
    for field, said, files in (
        ("ca", "away cannot be read", (tmp_path / "away",)),
        ("ca", "nonsense holds no PEM", (nonsense,)),
        ("ca", "holds no PEM", (own.key,)),
        ("certificate", "belong together", (None, own.certificate)),
        ("certificate", "belong together", (None, None, own.key)),
        ("certificate", "its PEM key", (None, own.certificate, other.key)),
        ("certificate", "its PEM key", (None, nonsense, own.key)),
        ("key", "away cannot be read", (None, own.certificate, tmp_path / "away")),
    ):
        with pytest.raises(InvalidRequestError, match=said) as raised:
            tls(*files)
        assert raised.value.field == field
