# SPDX-License-Identifier: Apache-2.0
"""Seals results with a key derived from the caller's API key, which the server does not keep: the ledger alone opens none."""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_PURPOSE = b"imagier tickets 1"
_NONCE_BYTES = 12


class Seal:
    """The seal of one API key: HKDF-SHA256 (RFC 5869) and ChaCha20-Poly1305 (RFC 8439), bound to the ticket's id."""

    __slots__ = ("_cipher",)

    def __init__(self, secret: str) -> None:
        key = HKDF(SHA256(), 32, None, _PURPOSE).derive(secret.encode())
        self._cipher = ChaCha20Poly1305(key)

    def close(self, ticket: str, document: bytes) -> bytes:
        """Seal a document for its ticket."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, document, ticket.encode())

    def open(self, ticket: str, sealed: bytes) -> bytes | None:
        """The document; None if it was sealed with another key or for another ticket, or is damaged."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], ticket.encode())
        except (InvalidTag, ValueError):
            return None
