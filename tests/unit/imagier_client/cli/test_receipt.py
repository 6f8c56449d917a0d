# SPDX-License-Identifier: Apache-2.0
"""`imagier receipt`, as a person or a script calls it."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from imagier.v1 import receipt_pb2
from imagier_client.cli import main
from imagier_client.receipts import SignedReceipt, key_id

NONCE = b"0123456789abcdef"


@pytest.fixture
def given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with a key, its public half, a picture and its receipt."""
    assert main(["receipt", "keygen", str(tmp_path / "key.pem")]) == 0
    (tmp_path / "public.txt").write_text(capsys.readouterr().out)
    key = load_pem_private_key((tmp_path / "key.pem").read_bytes(), None)
    signer = key_id(key.public_key().public_bytes_raw())
    made = receipt_pb2.ProcessingReceipt(
        image_hmac=hmac.digest(NONCE, b"picture", "sha256"), server_version="0.1.0", key_id=signer
    )
    made.tasks.add(task="tags").models.add(name="tagger", version="a 1", digest="ab")
    made.tasks.add(task="ocr", code=14, reason="ENGINE_UNAVAILABLE")
    content = made.SerializeToString()
    signed = SignedReceipt(content, key.sign(b"imagier.v1.ProcessingReceipt\0" + content), signer)
    (tmp_path / "receipt.json").write_text(signed.to_json())
    (tmp_path / "photo.jpg").write_bytes(b"picture")
    return tmp_path


def verify(given: Path, *more: str) -> int:
    return main(["receipt", "verify", str(given / "receipt.json"), "--key", str(given / "public.txt"), *more])


def test_a_key_is_for_its_owner_only_and_never_overwritten(given: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = given / "key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    assert main(["receipt", "keygen", str(key)]) == 1
    assert key.read_bytes() == before
    assert "File exists" in capsys.readouterr().err


def test_a_genuine_receipt(given: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(given, "--image", str(given / "photo.jpg"), "--nonce", NONCE.hex()) == 0
    said = capsys.readouterr().out
    assert said.startswith("genuine")
    for part in ("of this picture", "tags      done", "tagger: a 1 (ab)", "ENGINE_UNAVAILABLE", "not stated"):
        assert part in said
    assert verify(given) == 0
    assert "of some picture" in capsys.readouterr().out


def test_what_is_not_genuine(given: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (given / "photo.jpg").write_bytes(b"another")
    assert verify(given, "--image", str(given / "photo.jpg"), "--nonce", NONCE.hex()) == 1
    assert "NOT GENUINE: it is of another picture" in capsys.readouterr().err
    assert main(["receipt", "keygen", str(given / "other.pem")]) == 0
    (given / "public.txt").write_text(capsys.readouterr().out)
    assert verify(given) == 1
    (given / "receipt.json").write_text("{}")
    assert verify(given) == 1


def test_wrong_usage(given: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in (
        ("--image", "a"),
        ("--nonce", "ab"),
        ("--image", str(given / "photo.jpg"), "--nonce", "no"),
        ("--image", str(given / "away.jpg"), "--nonce", "ab"),
    ):
        assert verify(given, *more) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    for nothing in ("nonsense", "", "\n"):
        (given / "public.txt").write_text(nothing)
        assert verify(given) == 2, "a receipt is not called false for want of a key"
        assert "no public keys" in capsys.readouterr().err


def test_without_a_server_there_is_no_key_to_fetch(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["receipt", "key", "127.0.0.1:1"]) == 3
    assert "imagier receipt: no answer" in capsys.readouterr().err
