# SPDX-License-Identifier: Apache-2.0
"""Which addresses may be fetched from."""

from __future__ import annotations

import pytest
from imagier_server.transport.http.addresses import Allowed, RefusedAddressError

PUBLIC = ["93.184.216.34", "1.1.1.1", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::1.1.1.1", "2002:101:101::1"]
REFUSED = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "224.0.1.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "ff0e::1", "fec0::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a00:1", "::127.0.0.1", "64:ff9b::10.0.0.1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::", "2001:0:7f00:1::",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_ones(address: str) -> None:
    Allowed().check([address])


@pytest.mark.parametrize("address", REFUSED)
def test_others(address: str) -> None:
    with pytest.raises(RefusedAddressError):
        Allowed().check([address])
    with pytest.raises(RefusedAddressError):
        Allowed().check([PUBLIC[0], address])


def test_a_name_without_an_address() -> None:
    with pytest.raises(RefusedAddressError):
        Allowed().check([])


def test_networks_of_the_operator() -> None:
    allowed = Allowed("10.1.0.0/16, fd00::/8")
    allowed.check(["10.1.2.3", "fd00::1", PUBLIC[0]])
    for address in ("10.2.0.1", "::ffff:10.1.2.3", "fe80::1"):
        with pytest.raises(RefusedAddressError):
            allowed.check([address])
