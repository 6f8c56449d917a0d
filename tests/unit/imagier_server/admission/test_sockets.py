# SPDX-License-Identifier: Apache-2.0
"""What the kernel counted on a connection, found by its peer."""

from __future__ import annotations

import os
import socket

import pytest
from imagier_server.admission.sockets import Sockets

needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")


def connected(server: socket.socket) -> tuple[socket.socket, socket.socket]:
    """A client and the accepted socket."""
    client = socket.create_connection(("127.0.0.1", server.getsockname()[1]))
    return client, server.accept()[0]


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::", marks=needs_ipv6)])  # '::' has callers by IPv4, too
def test_what_came_is_counted_for_each_connection(host: str) -> None:
    sockets = Sockets()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, dualstack_ipv6=":" in host) as server:
        one, other = connected(server), connected(server)
        before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for client, size in ((one[0], 1000), (other[0], 70_000)):
            client.sendall(bytes(size))
        for accepted, size in ((one[1], 1000), (other[1], 70_000)):
            assert len(accepted.recv(size, socket.MSG_WAITALL)) == size
        names = [f"ipv4:127.0.0.1:{client.getsockname()[1]}" for client, _ in (one, other)]
        assert [sockets.received(name) for name in names] == [1000, 70_000]
        one[0].sendall(bytes(5))
        assert len(one[1].recv(5, socket.MSG_WAITALL)) == 5
        assert sockets.received(names[0]) == 1005
        assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
        # A connection that is gone is not mistaken for the next one in its place.
        assert sockets.connected(names[0])
        one[1].close()
        third = connected(server)
        third[0].sendall(bytes(7))
        assert len(third[1].recv(7, socket.MSG_WAITALL)) == 7
        assert sockets.received(names[0]) is None
        assert [sockets.connected(name) for name in names] == [False, True]
        assert sockets.received(f"ipv4:127.0.0.1:{third[0].getsockname()[1]}") == 7
        for each in (*one, *other, *third):
            each.close()


@pytest.mark.parametrize("name", ["", "unix:", "unix:/run/imagier.sock", "ipv4:nonsense", "ipv6:%5B::1%5D:1"])
def test_what_is_no_connection_of_ours_is_unknown(name: str) -> None:
    assert Sockets().received(name) is None
    assert Sockets().connected(name) == (not name.startswith("ipv6:")), "unknown, it may be open"


@needs_ipv6
def test_ipv6_as_grpc_writes_it() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        client = socket.create_connection(server.getsockname()[:2])
        with client, server.accept()[0] as accepted:
            client.sendall(b"123")
            assert accepted.recv(3, socket.MSG_WAITALL) == b"123"
            assert Sockets().received(f"ipv6:%5B::1%5D:{client.getsockname()[1]}") == 3
