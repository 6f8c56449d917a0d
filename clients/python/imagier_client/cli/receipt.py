# SPDX-License-Identifier: Apache-2.0
"""`imagier receipt`: makes the key that a server signs with, fetches its public half, and verifies receipts offline."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import Annotated

import grpc
import typer

from imagier_client.aio import AsyncClient
from imagier_client.cli.command import (
    ALL_GOOD,
    NO_SERVER,
    SOME_FAILED,
    USAGE,
    Encrypt,
    Key,
    TlsCa,
    TlsCertificate,
    TlsKey,
    address,
    credentials,
    run,
)
from imagier_client.errors import ImagierClientError
from imagier_client.receipts import Receipt, ReceiptError, SignedReceipt

HINT = "pip install 'imagier[receipts]'"

_PUBLIC_BYTES = 32

receipt = typer.Typer(
    add_completion=False,
    help="Verify a signed statement of what was done with a picture.",
    epilog="""Examples:

imagier receipt keygen receipt.pem

imagier receipt key 127.0.0.1:8500 > public.txt

imagier receipt verify photo.receipt.json --key public.txt --image photo.jpg --nonce 7f0c…""",
)


@receipt.command("keygen", epilog="Exit status: 0 written, 1 not.")
def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key goes; it must not exist.")],
) -> int:
    """Make a signing key for a server's --receipt-key; print its public half."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            Encoding,
            NoEncryption,
            PrivateFormat,
        )
    except ModuleNotFoundError:
        return _said(f"a key needs: {HINT}", NO_SERVER)
    key = Ed25519PrivateKey.generate()
    try:
        # Nobody else may read it, not even for the moment before a chmod.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except OSError as error:
        return _said(f"{file}: {error.strerror}", SOME_FAILED)
    print(_text(key.public_key().public_bytes_raw()))
    return ALL_GOOD


@receipt.command("key", epilog="Exit status: 0 printed, 1 the server signs no receipts, 3 no server.")
def public_key(
    server: Annotated[str, typer.Argument(metavar="HOST:PORT", callback=address, help="The server.")],
    encrypt: Encrypt = False,
    tls_ca: TlsCa = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    key: Key = None,
) -> int:
    """Print the public key in a server's catalogue. Keep it: `verify` needs it."""
    return run(_public(server, credentials(server, encrypt, tls_ca, tls_certificate, tls_key), key))


async def _public(server: str, secured: grpc.ChannelCredentials | None, key: str | None) -> int:
    try:
        async with AsyncClient(server, credentials=secured, key=key) as client:
            found = (await client.catalog()).receipt_key
    except ImagierClientError as error:
        return _said(str(error), NO_SERVER)
    if found is None:
        return _said("this server signs no receipts", SOME_FAILED)
    print(_text(found.public_key))
    return ALL_GOOD


@receipt.command("verify", epilog="Exit status: 0 genuine, 1 not, 2 wrong usage.")
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The signed receipt, in JSON.")],
    key: Annotated[
        Path, typer.Option(metavar="FILE", help="Public keys, one a line, as `imagier receipt key` prints.")
    ],
    image: Annotated[Path | None, typer.Option(metavar="FILE", help="The picture that was sent.")] = None,
    nonce: Annotated[str | None, typer.Option(metavar="HEX", help="The nonce that it was sent with.")] = None,
) -> int:
    """Verify a receipt, without any server. With --image and --nonce it must be of that picture."""
    if (image is None) != (nonce is None):
        raise typer.BadParameter("--image and --nonce go together", param_hint="'--image'")
    try:
        secret = None if nonce is None else bytes.fromhex(nonce)
    except ValueError:
        raise typer.BadParameter("hexadecimal digits are needed", param_hint="'--nonce'") from None
    try:
        keys = _public_keys(key.read_text("ascii"))
    except (OSError, ValueError) as error:
        return _said(f"{key}: {getattr(error, 'strerror', None) or 'no public keys'}", USAGE)
    try:
        signed = SignedReceipt.from_json(file.read_bytes())
        found = signed.verify(keys, None if image is None else image.read_bytes(), secret)
    except OSError as error:
        return _said(f"{error.filename}: {error.strerror}", USAGE)
    except ModuleNotFoundError:
        return _said(f"verifying needs: {HINT}", NO_SERVER)
    except ReceiptError as error:
        return _said(f"NOT GENUINE: {error}", SOME_FAILED)
    for line in lines(found, of_picture=image is not None):
        print(line)
    return ALL_GOOD


def lines(found: Receipt, *, of_picture: bool) -> list[str]:
    """What a genuine receipt says, for people."""
    said = [
        f"genuine, signed by {found.key_id}",
        "of this picture" if of_picture else "of some picture: give --image and --nonce to tell of which",
        f"server    {found.server_version} ({found.server_digest.hex()})",
        f"received  {found.received.isoformat()}",
        f"decoded   {found.decoded.isoformat()}",
        f"answered  {found.answered.isoformat()}",
        f"released  {found.released.isoformat() if found.released else 'not stated'}",
    ]
    for task in found.tasks:
        said.append(f"{task.task:9} {'done' if task.code == 0 else f'failed: {task.reason}'}")
        said += [f"          {model.name}: {model.version} ({model.digest})" for model in task.models]
    return said


def _text(public_key: bytes) -> str:
    return "ed25519 " + base64.b64encode(public_key).decode()


def _public_keys(text: str) -> list[bytes]:
    """The key of each line. Raises ValueError for a line that is none, and for a file without any."""
    found = [base64.b64decode(line.rsplit(maxsplit=1)[-1], validate=True) for line in text.splitlines() if line.strip()]
    if not found or any(len(key) != _PUBLIC_BYTES for key in found):
        raise ValueError("no public keys")
    return found


def _said(text: str, status: int) -> int:
    sys.stderr.write(f"imagier receipt: {text}\n")
    return status
