# SPDX-License-Identifier: Apache-2.0
"""Signs what the server did with a picture (Ed25519), for callers who ask for a processing receipt."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from imagier_server.errors import InvalidRequestError
from imagier_server.messages import AnnotateRequest, ProcessingReceipt, ReceiptKey, SignedReceipt
from imagier_server.recording import Record
from imagier_server.settings import UnusableFileError

CONTEXT = b"imagier.v1.ProcessingReceipt\0"
"""Signed before the receipt, so that the signature is good for nothing else."""
NONCE_BYTES = range(16, 65)


class ReceiptKeyError(UnusableFileError):
    """A key file that cannot be used."""


class Signer:
    """Signs the receipts of one server. `digests`: SHA-256 of the weights by model; `serialize` renders the contract's message."""

    def __init__(
        self,
        key: Ed25519PrivateKey,
        version: str,
        digests: Mapping[str, str],
        serialize: Callable[[ProcessingReceipt], bytes],
    ) -> None:
        self._key = key
        self._version = version
        self._digests = digests
        self._serialize = serialize
        self._server = server_digest()
        public = key.public_key().public_bytes_raw()
        self.key = ReceiptKey(hashlib.sha256(public).hexdigest()[:16], public)

    def check(self, nonce: bytes) -> None:
        """Raises `InvalidRequestError` for a nonce that is too short to hide the picture, or too long."""
        if len(nonce) not in NONCE_BYTES:
            text = f"the nonce must have {NONCE_BYTES.start} to {NONCE_BYTES.stop - 1} random bytes"
            raise InvalidRequestError(text, field="processing_receipt.nonce")

    def fingerprint(self, request: AnnotateRequest) -> bytes:
        """HMAC-SHA-256 of the picture file: without the nonce nobody can tell of which picture it is."""
        return hmac.digest(request.nonce or b"", request.image, "sha256")

    def sign(self, fingerprint: bytes, record: Record, answered: float, released: float | None) -> SignedReceipt:
        """The receipt for the picture that `record` is of."""
        receipt = self._serialize(
            ProcessingReceipt(
                image_hmac=fingerprint,
                server_version=self._version,
                server_digest=self._server,
                outcomes=record.outcomes,
                digests=self._digests,
                received=record.received,
                decoded=record.decoded,
                answered=answered,
                released=released,
                key_id=self.key.key_id,
            )
        )
        return SignedReceipt(receipt, self._key.sign(CONTEXT + receipt), self.key.key_id)


def read_key(path: Path) -> Ed25519PrivateKey:
    """Read the signing key, as `imagier receipt keygen` writes it. Raises `ReceiptKeyError`."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ReceiptKeyError(f"receipt_key: {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ReceiptKeyError(
            f"receipt_key: {path} must be an Ed25519 key in PEM without a passphrase: `imagier receipt keygen` makes one"
        )
    return key


def server_digest(package: Path = Path(__file__).parent) -> bytes:
    """SHA-256 over the server's own modules; the contract says how."""
    whole = hashlib.sha256()
    for name, path in sorted((path.relative_to(package).as_posix(), path) for path in package.rglob("*.py")):
        whole.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return whole.digest()
