# SPDX-License-Identifier: Apache-2.0
"""Parses addresses, and binds the one to listen on before anything else starts."""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

UNIX = "unix:"
QUOTA_STORES = {"valkey": "valkey", "redis": "valkey", "valkeys": "valkeys", "rediss": "valkeys"}
"""Schemes of a quota store's URL, by those that Valkey's client knows; it speaks to Redis too."""
_USUAL_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_.])?")
_UNIX_PATH = 107  # bytes; of sockaddr_un
_SOCKET_UMASK = 0o117  # the socket's owner and group may connect


def listen_host(text: str) -> str:
    """Normalise a host: IPv6 without brackets. Raises ValueError that says what to write instead."""
    if text.startswith(UNIX):
        path = text.removeprefix(UNIX).removeprefix("//")
        if not path:
            raise ValueError("unix: needs the path of the socket, as in unix:/run/imagier.sock")
        if len(os.fsencode(path)) > _UNIX_PATH:
            raise ValueError(f"the path of a socket may have {_UNIX_PATH} bytes: use a shorter one")
        return UNIX + path
    if not text:
        raise ValueError("write an address, such as 127.0.0.1, ::1, 0.0.0.0 or unix:/run/imagier.sock")
    if "://" in text:
        raise ValueError("write the address alone, without http:// or the like")
    return _host(text, "the port is a setting of its own: give the address alone")


def is_local(host: str) -> bool:
    """Whether only this machine reaches a server there. A name other than localhost may be any address."""
    if host.startswith(UNIX) or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def target(text: str) -> str:
    """Return `text` if it is 'HOST:PORT' (IPv6 in brackets). Raises ValueError that says what to write instead."""
    if "://" in text:
        raise ValueError("write HOST:PORT, without http:// or the like")
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        raise ValueError("the port is missing: write HOST:PORT")
    if not host:
        raise ValueError("the host is missing: write HOST:PORT")
    if not re.fullmatch(r"\d{1,5}", port, re.ASCII) or not 1 <= int(port) <= 65535:
        raise ValueError("the port after the last colon must be a number from 1 to 65535")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("put an IPv6 address in brackets: [::1]:8001")
    _host(host, "write HOST:PORT")
    return text


def engines(text: str) -> str:
    """Return `text` if it is 'embedded' or targets separated by commas, each with an optional 'dns:///'."""
    if text != "embedded":
        for each in text.split(","):
            target(each.removeprefix("dns:///"))
    return text


def networks(text: str) -> str:
    """Return `text` if it is networks separated by commas. Raises ValueError that says what to write instead."""
    for each in text.split(","):
        try:
            ip_network(each.strip())
        except ValueError:
            raise ValueError("write networks separated by commas, as in 10.1.0.0/16,fd00::/8") from None
    return text


def collector(text: str) -> str:
    """Return `text` if it is 'HOST:PORT', with an optional 'https://'."""
    target(text.removeprefix("https://"))
    return text


def quota_store(text: str) -> str:
    """Return `text` if it is the URL of a Valkey or Redis. Raises ValueError that says what to write instead."""
    try:
        url = urlsplit(text)
        complete = url.scheme in QUOTA_STORES and url.hostname and url.port != 0
    except ValueError:
        complete = False
    if not complete:
        raise ValueError("write valkey://HOST:PORT or redis://HOST:PORT (valkeys:// or rediss:// with TLS)")
    return text


def web(text: str) -> str:
    """Return `text` if it is an URL of http or https. Raises ValueError that says what to write instead."""
    try:
        url = urlsplit(text)
        complete = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:
        complete = False
    if not complete or "?" in text or "#" in text:
        raise ValueError("write http://HOST:PORT or https://HOST:PORT, with a path if there is one")
    return text


def usage_sink(text: str) -> str:
    """Return `text` if it is a file's path, or an URL of http or https. Raises ValueError that says what to write instead."""
    if "://" in text:
        url = urlsplit(text)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise ValueError("write the path of a file, or an URL of http or https")
        if url.username or url.password:
            raise ValueError("write the URL without a user: a token goes into a file of its own (--usage-events-token)")
    elif not text:
        raise ValueError("write the path of a file, or an URL of http or https")
    elif not Path(text).parent.is_dir():
        raise ValueError("the folder of this file does not exist")
    return text


def origin(text: str) -> str:
    """Return the origin of an URL of http or https: "https://photos.example.org", with a port if it is not the usual one.

    Raises ValueError that says what to write instead.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError("write https://HOST or https://HOST:PORT") from None
    if url.scheme not in _USUAL_PORTS or not url.hostname:
        raise ValueError("write https://HOST or https://HOST:PORT")
    if "@" in url.netloc or not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("write the host alone, in ASCII, without a user")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}" + ("" if port in {None, _USUAL_PORTS[url.scheme]} else f":{port}")


def _host(text: str, hint: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    with suppress(ValueError):
        if (address := ip_address(bare)).version == 6 or bare == text:
            return str(address) if "%" not in bare else bare
    if ":" in text:
        raise ValueError(hint)
    if not _NAME.fullmatch(text):
        raise ValueError("this is neither an IP address nor a host name")
    return text


def joined(host: str, port: int) -> str:
    """What callers connect to: 'HOST:PORT', '[IPV6]:PORT', 'unix:PATH'."""
    if host.startswith(UNIX):
        return UNIX + os.path.abspath(host.removeprefix(UNIX))  # noqa: PTH100 - a symbolic link stays one
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def beside(host: str) -> str:
    """The host of a second listener of a server that listens at `host`: the same, or loopback if that is a socket."""
    return "127.0.0.1" if host.startswith(UNIX) else host


def socket_path(host: str) -> str | None:
    """The path of a socket; None for an address."""
    return host.removeprefix(UNIX) if host.startswith(UNIX) else None


@contextmanager
def taken(host: str, port: int) -> Iterator[list[socket.socket]]:
    """Sockets bound there, which do not listen yet: nobody else gets the address meanwhile. Raises OSError.

    A program that asks for the same address with SO_REUSEADDR, as gRPC does, may still listen there: that is how it is handed over.
    A socket's file is removed at the end; one that nobody listens at any more, at the beginning.
    """
    with ExitStack() as stack:
        if host.startswith(UNIX):
            stack.enter_context(_taken_path(Path(host.removeprefix(UNIX))))
            yield []
            return
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except socket.gaierror as error:
            raise OSError(f"cannot listen on {host}: no such host") from error
        sockets = []
        for family, kind, protocol, _, address in found[: 1 if port == 0 else None]:
            try:
                each = stack.enter_context(socket.socket(family, kind, protocol))
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                each.bind(address)
            except OSError as error:
                raise OSError(f"cannot listen on {joined(host, port)}: {os.strerror(error.errno or 0)}") from error
            sockets.append(each)
        yield sockets


@contextmanager
def owner_and_group() -> Iterator[None]:
    """What is created meanwhile can be used by its owner and group only: for sockets in the file system."""
    before = os.umask(_SOCKET_UMASK)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _taken_path(path: Path) -> Iterator[None]:
    if not path.parent.is_dir():
        raise OSError(f"cannot listen on {UNIX}{path}: its folder does not exist")
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise OSError(f"cannot listen on {UNIX}{path}: the path is a file, not a socket")
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(os.fspath(path))
            except ConnectionRefusedError:
                path.unlink()  # left over
            else:
                raise OSError(f"cannot listen on {UNIX}{path}: another process listens there")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
