# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from imagier_server.transport.certificates import CertificateError, Certificates
from support.made_certificates import Authority, Pair


def shown(server: ssl.SSLContext, authority: Authority, client: Pair | None = None, name: str | None = "a") -> str:
    """The common name that the server's certificate shows in a handshake in memory. Raises SSLError if either side refuses."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = name is not None
    context.load_verify_locations(authority.certificate)
    if client:
        context.load_cert_chain(client.certificate, client.key)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context.wrap_bio(back, there, server_hostname=name)
    theirs = server.wrap_bio(there, back, server_side=True)
    pending = [ours, theirs]
    for _ in range(10):
        for side in tuple(pending):
            try:
                side.do_handshake()
                pending.remove(side)
            except ssl.SSLWantReadError:
                pass
        if not pending:
            break
    assert not pending
    ((_, common_name),) = next(part for part in ours.getpeercert()["subject"] if part[0][0] == "commonName")
    return common_name


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("name", ["a", None])
def test_new_files_serve_the_next_handshake_of_the_same_context(authority: Authority, name: str | None) -> None:
    pair = authority.issue("first", "a", file="server")
    certificates = Certificates(pair.certificate, pair.key, None)
    context = certificates.context()
    assert shown(context, authority, name=name) == "first"
    authority.issue("second", "a", file="new").move_to(pair)
    assert shown(context, authority, name=name) == "second"
    assert certificates.current().certificate == pair.certificate.read_bytes()


def test_files_that_do_not_fit_leave_the_old_ones_in_use(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    pair = authority.issue("first", "a", file="server")
    certificates = Certificates(pair.certificate, pair.key, None)
    context = certificates.context()
    new = authority.issue("second", "a", file="new")
    new.certificate.replace(pair.certificate)
    for _ in range(3):
        assert shown(context, authority) == "first", "certificate without its key"
    assert len(caplog.records) == 1, "said once, not with each handshake"
    pair.key.rename(pair.key.with_suffix(".away"))
    assert shown(context, authority) == "first", "a file that is away"
    new.key.replace(pair.key)
    assert shown(context, authority) == "second"


def test_client_certificates_are_required_and_the_authority_rotates(authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("server", "a")
    clients, others = Authority(tmp_path, "clients"), Authority(tmp_path, "others")
    good, bad = clients.issue("good"), others.issue("bad")
    context = Certificates(pair.certificate, pair.key, clients.certificate).context()
    assert shown(context, authority, good) == "server"
    for refused in (None, bad):
        with pytest.raises(ssl.SSLError):
            shown(context, authority, refused)
    others.certificate.replace(clients.certificate)
    assert shown(context, authority, bad) == "server"
    with pytest.raises(ssl.SSLError):
        shown(context, authority, good)


def test_old_versions_of_tls_are_refused(authority: Authority) -> None:
    pair = authority.issue("server", "a")
    assert Certificates(pair.certificate, pair.key, None).context().minimum_version is ssl.TLSVersion.TLSv1_2


def test_unusable_files_say_which(authority: Authority, tmp_path: Path) -> None:
    pair, other = authority.issue("server"), authority.issue("other")
    nonsense, away = tmp_path / "nonsense", tmp_path / "away"
    nonsense.write_text("nonsense ü")
    locked = tmp_path / "locked.key"
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"secret")
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret))
    for certificate, key_file, client_ca, said in (
        (away, pair.key, None, "away cannot be read"),
        (nonsense, pair.key, None, "tls_certificate"),
        (pair.certificate, other.key, None, "tls_key"),
        (pair.certificate, locked, None, "without a passphrase"),
        (pair.certificate, pair.key, nonsense, "tls_client_ca"),
    ):
        with pytest.raises(CertificateError, match=said):
            Certificates(certificate, key_file, client_ca)
