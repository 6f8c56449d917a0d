# SPDX-License-Identifier: Apache-2.0
"""Which addresses this server may fetch from: public ones only, whatever notation hides another."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from imagier_server.errors import InvalidRequestError

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_OTHERS = tuple(map(ip_network, ("192.0.0.0/24", "168.63.129.16/32", "::/96", "2001::/23", "fec0::/10")))
"""Special ones that some versions of Python take for global, and where Azure answers its own machines."""


class RefusedAddressError(InvalidRequestError):
    """The name stands for an address that this server does not fetch from."""

    reason = "ADDRESS_REFUSED"


class Allowed:
    """Public addresses, and those of the operator's `networks` ("10.1.0.0/16,fd00::/8"). Raises ValueError."""

    def __init__(self, networks: str | None = None) -> None:
        self._networks = [ip_network(text.strip()) for text in (networks or "").split(",") if text.strip()]

    def check(self, addresses: Sequence[str]) -> None:
        """Raise `RefusedAddressError` if any address of a name is one that must not be fetched from."""
        if not addresses or not all(map(self._allows, addresses)):
            raise RefusedAddressError("pictures are fetched from public addresses only: send the file", field="url")

    def _allows(self, text: str) -> bool:
        address = ip_address(text.partition("%")[0])
        if any(address in network for network in self._networks):
            return True
        return _public(address)


def _public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        if inner := _translated(address):
            return _public(inner)
        if address.sixtofour and not _public(address.sixtofour):
            return False
    special = address.is_multicast or address.is_reserved or any(address in network for network in _OTHERS)
    return address.is_global and not special


def _translated(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one is another notation of, or that a translator would take it to."""
    if any(address in network for network in _NAT64):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped
