# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

from imagier_server.admission.holdings import NO_LIMIT, Holder, Holdings, holder_of, limits_of
from imagier_server.call import CallContext, Caller, Identity, KeyLimits, Lane, Transport
from imagier_server.errors import Quota

ADDRESS = CallContext(Transport.GRPC, Lane.INTERACTIVE, Caller("10.0.0.1", "10.0.0.1:5"))


def of_key(key: str, limits: KeyLimits | None = None) -> CallContext:
    return replace(ADDRESS, identity=Identity(key, "museum", frozenset(), limits or KeyLimits()))


def test_a_key_has_the_servers_limits_where_it_has_none_of_its_own() -> None:
    default = KeyLimits("500 per 4 hours", 8, 1000)
    assert limits_of(ADDRESS, default) == limits_of(of_key("a"), default) == default
    assert limits_of(of_key("a", KeyLimits(in_flight=2)), default) == KeyLimits("500 per 4 hours", 2, 1000)
    assert limits_of(of_key("a", KeyLimits("", 0, 0)), default) == KeyLimits("", 0, 0), "an operator may lift them"


def test_each_key_holds_its_own_and_each_address_of_an_open_server() -> None:
    holdings = Holdings(KeyLimits(in_flight=2))
    assert holdings.of(of_key("a")) == Holder("key a", 2, 0)
    assert holdings.of(ADDRESS) == Holder("10.0.0.1", 2, 0)
    assert holder_of(of_key("a")) != holder_of(of_key("b"))
    assert Holdings().of(of_key("a")) is NO_LIMIT


def test_pictures_and_bytes_are_counted_until_they_end() -> None:
    holdings = Holdings()
    one, other = Holder("a", 2, 100), Holder("b", 2, 100)
    assert holdings.full(one, 500) is None, "a larger file is admitted alone"
    holdings.change(one, 1, 60)
    assert holdings.full(one, 60) is Quota.KEY_IN_FLIGHT_BYTES
    assert holdings.full(one, 40) is None
    holdings.change(one, 1, 40)
    assert holdings.full(one, 0) is Quota.KEY_IN_FLIGHT
    assert holdings.full(other, 60) is None
    holdings.change(one, -1, -60)
    holdings.change(one, -1, -40)
    assert holdings.full(one, 100) is None
    assert holdings._held == {}


def test_without_a_limit_nothing_is_remembered() -> None:
    holdings = Holdings()
    holdings.change(NO_LIMIT, 1, 10)
    assert holdings.full(NO_LIMIT, 10) is None
    assert holdings._held == {}
