# SPDX-License-Identifier: Apache-2.0
"""Reads the kernel's count of bytes received per connection, which gRPC does not report."""

from __future__ import annotations

import os
import socket
import stat
import struct
import sys
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from urllib.parse import unquote

_Peer = tuple[str, int]

_BYTES_RECEIVED = struct.Struct("=128xQ")  # `tcpi_bytes_received` of Linux's struct tcp_info


class Sockets:
    """The TCP sockets of this process, by peer. gRPC owns them; they are only read."""

    def __init__(self) -> None:
        self._found: dict[_Peer, tuple[int, int]] = {}  # file descriptor and inode
        self._seen: dict[int, int] = {}  # inode by file descriptor, at the last search

    def received(self, peer: str) -> int | None:
        """Bytes received on a connection; `peer` as gRPC names it. None if unknown or closed."""
        name = _named(peer)
        if name is None or not self._open(name):
            return None
        with suppress(OSError), _copied(self._found[name][0]) as found:
            info = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED.size)
            if len(info) == _BYTES_RECEIVED.size:
                return (
                    _BYTES_RECEIVED.unpack(info)[0] or None
                )  # there has been a call, so 0 means a kernel that does not count
        return None

    def connected(self, peer: str) -> bool:
        """Whether a connection is open; True if unknown."""
        name = _named(peer)
        return name is None or self._open(name)

    def _open(self, name: _Peer) -> bool:
        if not self._holds(name):
            self._search()
        return self._holds(name)

    def _holds(self, name: _Peer) -> bool:
        fd, inode = self._found.get(name, (-1, 0))
        return fd >= 0 and _inode(fd) == inode

    def _search(self) -> None:
        """Search the file descriptors opened since the last search."""
        seen = {
            fd: inode for fd in (int(file.name) for file in Path("/proc/self/fd").iterdir()) if (inode := _inode(fd))
        }
        self._found = {name: held for name, held in self._found.items() if seen.get(held[0]) == held[1]}
        for fd, inode in seen.items():
            if self._seen.get(fd) != inode:
                with suppress(OSError), _copied(fd) as found:
                    if found.family in {socket.AF_INET, socket.AF_INET6}:
                        host, port, *_ = found.getpeername()
                        self._found[_address(host), port] = fd, inode
        self._seen = seen


def _copied(fd: int) -> socket.socket:
    """A short-lived duplicate, because gRPC may close its own at any time."""
    copy = os.dup(fd)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def _inode(fd: int) -> int:
    """The socket's inode; 0 if it is not a socket."""
    with suppress(OSError):
        status = os.fstat(fd)
        if stat.S_ISSOCK(status.st_mode):
            return status.st_ino
    return 0


def _named(peer: str) -> _Peer | None:
    """The address and port; None for a Unix socket, or where there is no /proc."""
    kind, _, where = peer.partition(":")
    host, _, port = unquote(where).rpartition(":")
    try:
        return (_address(host.strip("[]")), int(port)) if kind in {"ipv4", "ipv6"} and sys.platform == "linux" else None
    except ValueError:
        return None


def _address(host: str) -> str:
    address = ip_address(host.partition("%")[0])
    return str((address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address)
