# SPDX-License-Identifier: Apache-2.0
"""Whose calls share as one."""

from __future__ import annotations

import pytest
from imagier_server.transport import peer as peers
from imagier_server.transport.peer import caller


@pytest.mark.parametrize(
    ("peer", "group"),
    [
        ("ipv4:192.0.2.7:4242", "192.0.2.7"),
        ("ipv6:[2001:db8:1:2:3:4:5:6]:4242", "2001:db8:1:2::/64"),
        ("ipv6:%5B2001:db8:1:2::9%5D:1", "2001:db8:1:2::/64"),
        ("ipv6:[::ffff:192.0.2.7]:4242", "192.0.2.7"),
        ("ipv6:[fe80::1%25eth0]:4242", "fe80::/64"),
        ("ipv6:[::1]:1", "::/64"),
        ("unix:", "unix"),
        ("unix:/run/imagier.sock", "unix"),
        ("", ""),
        ("ipv4:nonsense", ""),
    ],
)
def test_an_address_shares_as_one_and_a_connection_has_its_own_name(peer: str, group: str) -> None:
    assert caller(peer).group == group
    assert caller(peer).member == peer


def test_no_address_is_remembered() -> None:
    """Reading it anew takes microseconds; a cache would hold the addresses of callers who have gone."""
    assert not [name for name, each in vars(peers).items() if hasattr(each, "cache_info")]
