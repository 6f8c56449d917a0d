# SPDX-License-Identifier: Apache-2.0
"""Credentials for a channel with TLS: the authority that signed the server's certificate, and the client's own certificate."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from imagier_client.errors import InvalidRequestError


def tls(
    ca: str | Path | None = None, certificate: str | Path | None = None, key: str | Path | None = None
) -> grpc.ChannelCredentials:
    """Returns what `Client(…, credentials=…)` takes, from PEM files.

    `ca` checks the server's certificate; without it the public authorities do. `certificate` and its `key` are shown to a server
    that asks for them. Raises InvalidRequestError for files that cannot be used.
    """
    if (certificate is None) != (key is None):
        raise InvalidRequestError("a certificate and its key belong together", field="certificate")
    return grpc.ssl_channel_credentials(
        _read(ca, "ca") if ca is not None else None,
        _read(key, "key") if key is not None else None,
        _checked(certificate, key) if certificate is not None and key is not None else None,
    )


# gRPC takes anything and then fails every call without a reason: files are checked here.


def _read(path: str | Path, field: str) -> bytes:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be read: {error.strerror}", field=field) from error
    if field == "ca":
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise InvalidRequestError(f"{path} holds no PEM certificates", field=field) from error
    return content


def _checked(certificate: str | Path, key: str | Path) -> bytes:
    content = _read(certificate, "certificate")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        text = f"{certificate} and {key} must be a PEM certificate and its PEM key without a passphrase"
        raise InvalidRequestError(text, field="certificate") from error
    return content


def _no_password() -> str:
    """OpenSSL would ask on the terminal."""
    raise ValueError("encrypted")
