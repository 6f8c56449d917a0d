# SPDX-License-Identifier: Apache-2.0
"""Turns gRPC's name of a peer into a caller for fair shares."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_address
from urllib.parse import unquote

from imagier_server.call import Caller, Identity


def caller(peer: str, identity: Identity | None = None) -> Caller:
    """The group is the tenant.

    Without keys it is the address of 'ipv4:1.2.3.4:5', the /64 of 'ipv6:[…]:5' (what one host can have), or all of 'unix:'.
    Nothing is remembered: an address must not outlast its connection.
    """
    return Caller(f"tenant {identity.tenant}", peer) if identity else _unnamed(peer)


def _unnamed(peer: str) -> Caller:
    kind, _, where = peer.partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return Caller(kind, peer)
    host = unquote(where).rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return Caller(host, peer)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return Caller(str(address.ipv4_mapped), peer)
        return Caller(str(IPv6Network((address, 64), strict=False)), peer)
    return Caller(host, peer)
