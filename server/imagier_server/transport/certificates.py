# SPDX-License-Identifier: Apache-2.0
"""The server's TLS files, read again when they change: certificates rotate without a restart."""

from __future__ import annotations

import logging
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagier_server.logs import log

Stamps = tuple[tuple[int, int, int], ...]


class CertificateError(OSError):
    """TLS files that cannot be used."""


@dataclass(frozen=True, slots=True)
class Material:
    """What a handshake needs: the PEM of certificate chain, key and client CA (None: no client certificates), and a context."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext


class Certificates:
    """The TLS files of one server. With `client_ca`, a client must show a certificate that it has signed.

    Each handshake looks whether a file has changed. New files that do not fit together are logged, and the old ones stay in use.
    Safe for threads: gRPC asks from its own. Raises `CertificateError`.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._certificate, self._key, self._client_ca = certificate, key, client_ca
        self._lock = threading.Lock()
        self._stamps = self._stat()
        self._material = self._read()
        self._failure = ""

    def current(self) -> Material:
        """The newest good files."""
        with self._lock:
            try:
                stamps = self._stat()
                if stamps != self._stamps:
                    self._stamps = stamps  # first, so that a change while they are read is seen the next time
                    self._material = self._read()
                    log(logging.INFO, "certificates read again")
                self._failure = ""
            except CertificateError as error:
                if str(error) != self._failure:  # not once a handshake
                    log(logging.WARNING, "certificates not read again", reason=str(error))
                self._failure = str(error)
            return self._material

    def context(self) -> ssl.SSLContext:
        """A context for Python's own TLS, such as an HTTP server's; its handshakes use the newest files."""
        outer = _context(self._client_ca is not None)
        outer.sni_callback = self._switch  # called for clients that send no name, too
        return outer

    def _switch(self, connection: ssl.SSLObject, _name: str | None, _outer: ssl.SSLContext) -> None:
        connection.context = self.current().context

    def _stat(self) -> Stamps:
        try:
            found = [path.stat() for path in (self._certificate, self._key, self._client_ca) if path]
        except OSError as error:
            raise CertificateError(f"TLS: {error.filename} cannot be read: {error.strerror}") from error
        return tuple((each.st_mtime_ns, each.st_ino, each.st_size) for each in found)

    def _read(self) -> Material:
        context = _context(self._client_ca is not None)
        try:
            certificate, key = self._certificate.read_bytes(), self._key.read_bytes()
            client_ca = self._client_ca.read_bytes() if self._client_ca else None
        except OSError as error:
            raise CertificateError(f"TLS: {error.filename} cannot be read: {error.strerror}") from error
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            raise CertificateError(
                f"TLS: {self._certificate} (tls_certificate) and {self._key} (tls_key) must be a PEM certificate chain"
                " and its PEM key without a passphrase"
            ) from error
        if client_ca is not None:
            try:
                context.load_verify_locations(cadata=client_ca.decode("ascii"))
            except (ssl.SSLError, ValueError) as error:
                raise CertificateError(f"TLS: {self._client_ca} (tls_client_ca) must be PEM certificates") from error
        return Material(certificate, key, client_ca, context)


def _context(client_certificates: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if client_certificates:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_password(*_: Any) -> str:
    """OpenSSL would ask on the terminal."""
    raise ValueError("encrypted")
