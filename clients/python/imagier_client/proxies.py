# SPDX-License-Identifier: Apache-2.0
"""The proxy that gRPC takes from the environment, for error texts; and which hosts are this machine, reached without one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

# In gRPC's order, and with its spelling: it knows no capitals and no all_proxy.
_PROXIES: Final = ("grpc_proxy", "https_proxy", "http_proxy")
_EXCEPTIONS: Final = ("no_grpc_proxy", "no_proxy")


def is_local(host: str) -> bool:
    """Returns whether a name or address is this machine's."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    # To connect to "any address" is to connect to this machine.
    return address.is_loopback or address.is_unspecified


def proxy_before(hosts: Sequence[str]) -> str:
    """The proxy that gRPC takes for these hosts as "HOST:PORT (of https_proxy)", or "". Never a user or a password."""
    name = next((name for name in _PROXIES if name in os.environ), "")
    url = urlsplit(os.environ.get(name, ""))
    exceptions = next(filter(None, map(os.environ.get, _EXCEPTIONS)), "")
    if url.scheme != "http" or not url.hostname or all(_excepted(host, exceptions) for host in hosts):
        return ""
    return f"{url.netloc.rpartition('@')[2]} (of {name})"


def _excepted(host: str, exceptions: str) -> bool:
    """Returns whether `no_proxy` excepts the host, as gRPC reads it: the end of a name, or a range of addresses."""
    for entry in filter(None, (part.strip().lower() for part in exceptions.split(","))):
        if host.lower().endswith(entry):
            return True
        with suppress(ValueError):
            if ip_address(host) in ip_network(entry, strict=False):
                return True
    return False
