# SPDX-License-Identifier: Apache-2.0
"""From the setting to addresses that are followed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imagier_server.engines import addresses
from imagier_server.engines.addresses import Resolver, Target, following, look_up, parse
from imagier_server.settings import Settings
from pydantic import ValidationError

TRITON = Target("triton", 8001)


class Names:
    """What a DNS server would say; a test changes it."""

    def __init__(self, **hosts: Collection[str]) -> None:
        self.hosts = dict(hosts)
        self.asked = 0

    async def __call__(self, host: str) -> Collection[str]:
        self.asked += 1
        if host not in self.hosts:
            raise OSError(-2, "Name or service not known")
        return self.hosts[host]


@pytest.mark.parametrize(
    ("setting", "targets"),
    [
        ("triton:8001", [TRITON]),
        ("dns:///triton:8001", [TRITON]),
        ("10.0.0.7:8001,triton:8001", [Target("10.0.0.7", 8001), TRITON]),
        ("[fd00::1]:8001", [Target("fd00::1", 8001)]),
        ("triton-headless.vision.svc.cluster.local:8001", [Target("triton-headless.vision.svc.cluster.local", 8001)]),
    ],
)
def test_what_the_setting_names(setting: str, targets: list[Target]) -> None:
    assert list(parse(Settings(engine=setting).engine)) == targets


@pytest.mark.parametrize(
    "setting",
    [
        "",
        "triton",
        "triton:",
        ":8001",
        "triton:8001,",
        "a:1 b:2",
        "http://triton:8001",
        "dns:triton:8001",
        "fd00::1:8001",
    ],
)
def test_what_is_no_address_is_refused_at_the_start(setting: str) -> None:
    with pytest.raises(ValidationError):
        Settings(engine=setting)


HOSTS = st.from_regex(r"[a-z]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)


@settings(max_examples=25)
@given(st.lists(st.tuples(HOSTS, st.integers(1, 65535)), min_size=1, max_size=4))
def test_whatever_the_pattern_takes_is_parsed(pairs: list[tuple[str, int]]) -> None:
    setting = ",".join(f"{host}:{port}" for host, port in pairs)
    assert [(target.host, target.port) for target in parse(Settings(engine=setting).engine)] == pairs


async def test_each_address_of_a_name_is_an_engine() -> None:
    names = Names(triton=["10.0.0.2", "10.0.0.1"], other=["10.0.0.1", "fd00::2"])
    found = await Resolver([TRITON, Target("other", 8001)], names).resolve()
    assert found == {"10.0.0.1:8001", "10.0.0.2:8001", "[fd00::2]:8001"}


async def test_a_name_that_is_not_found_keeps_what_it_had() -> None:
    names = Names(triton=["10.0.0.1"], other=["10.0.0.2"])
    resolver = Resolver([TRITON, Target("other", 8001)], names)
    await resolver.resolve()
    del names.hosts["triton"]
    names.hosts["other"] = ["10.0.0.3"]
    assert await resolver.resolve() == {"10.0.0.1:8001", "10.0.0.3:8001"}
    names.hosts["triton"] = ["10.0.0.4"]
    assert await resolver.resolve() == {"10.0.0.4:8001", "10.0.0.3:8001"}


async def test_what_cannot_be_a_name_is_a_name_that_is_not_found() -> None:
    assert await Resolver([Target("a..b", 1), Target("127.0.0.1", 2)]).resolve() == {"127.0.0.1:2"}


async def test_what_cannot_be_understood_of_one_name_does_not_keep_the_others_back() -> None:
    names = Names(triton=["10.0.0.1"], other=["10.0.0.2"])
    resolver = Resolver([TRITON, Target("other", 8001)], names)
    await resolver.resolve()
    names.hosts = {"triton": ["10.0.0.1", "no address"], "other": ["10.0.0.3"]}
    assert await resolver.resolve() == {"10.0.0.1:8001", "10.0.0.3:8001"}


async def test_an_error_that_nobody_foresaw_is_not_the_last_look(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(addresses, "_LEAST_SECONDS", 0.0)
    seen = asyncio.Queue[Collection[str]](9)

    def use(found: Collection[str]) -> None:
        seen.put_nowait(found)
        if seen.qsize() == 1:
            raise ValueError("the words on the receipt")

    async with asyncio.timeout(10):
        async with following(Resolver([TRITON], Names(triton=["10.0.0.1"])), use, seconds=0.01, again=asyncio.Event()):
            while seen.qsize() < 3:  # noqa: ASYNC110 - a queue does not tell how full it is
                await asyncio.sleep(0)
    assert caplog.messages == ["engine addresses not taken"]


async def test_the_machines_own_names() -> None:
    assert await look_up("127.0.0.1") == {"127.0.0.1"}
    assert await look_up("::1") == {"::1"}
    # Never both families: they would be one engine twice.
    assert await look_up("localhost") in ({"127.0.0.1"}, {"::1"})


async def test_followed_up_and_down_and_asked_for_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_LEAST_SECONDS", 0.0)
    names, seen, again = Names(triton=["10.0.0.1"]), asyncio.Queue[Collection[str]](9), asyncio.Event()
    async with asyncio.timeout(10):
        # An hour: only being asked makes it look again.
        async with following(Resolver([TRITON], names), seen.put_nowait, seconds=3600, again=again):
            assert await seen.get() == {"10.0.0.1:8001"}
            names.hosts["triton"] = ["10.0.0.1", "10.0.0.2"]
            again.set()
            assert await seen.get() == {"10.0.0.1:8001", "10.0.0.2:8001"}
        async with following(Resolver([TRITON], names), seen.put_nowait, seconds=0.01, again=again):
            assert len(await seen.get()) == 2
            names.hosts["triton"] = ["10.0.0.2"]
            while await seen.get() != {"10.0.0.2:8001"}:
                pass
