# SPDX-License-Identifier: Apache-2.0
"""Scripted Tritons over real gRPC that die, come back and are replaced, under load."""

from __future__ import annotations

import asyncio

import pytest
from imagier_server.engines.addresses import Resolver, Target, following
from imagier_server.errors import EngineUnavailableError
from support.cluster import Cluster, holding, some, under_load


async def test_one_dies_with_requests_on_it(cluster: Cluster) -> None:
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    arrived, release = asyncio.Semaphore(0), asyncio.Event()
    cluster.fakes[1].behaviours["tagger"] = holding(arrived, release)
    waiting = [asyncio.create_task(cluster.infer()) for _ in range(10)]
    for _ in range(5):
        await arrived.acquire()
    await cluster.stop(1)
    await asyncio.gather(*waiting)
    assert cluster.taken == {1: 5, 2: 10}
    assert cluster.value("engine_retries_total", outcome="sent") == 5
    assert cluster.value("engine_ejections_total") == 1


async def test_dying_and_coming_back_under_load_fails_nothing(cluster: Cluster) -> None:
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    async with under_load(cluster):
        await some(cluster)
        await cluster.stop(1)
        await cluster.up(1)
        await some(cluster)
        before = cluster.taken[1]
        await cluster.start(1)
        await cluster.up(2)
        await some(cluster)
        assert cluster.taken[1] > before


async def test_none_is_there(cluster: Cluster) -> None:
    cluster.use(1, 2)
    with pytest.raises(EngineUnavailableError) as raised:
        await cluster.infer()
    assert raised.value.retry_after


async def test_all_die(cluster: Cluster) -> None:
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    await cluster.stop(1)
    await cluster.stop(2)
    with pytest.raises(EngineUnavailableError):
        await cluster.infer()
    await cluster.up(0)
    await cluster.start(1, 2)
    await cluster.up(2)
    await cluster.infer()


async def test_replicas_come_and_go_behind_a_name_under_load(cluster: Cluster) -> None:
    hosts = ["127.0.0.1"]

    async def names(host: str) -> list[str]:
        assert host == "triton"
        return list(hosts)

    await cluster.start(1, 2, 3)
    resolver = Resolver([Target("triton", cluster.port)], names)
    async with following(resolver, cluster.engines.set_addresses, seconds=0.05, again=cluster.engines.re_resolve):
        await cluster.up(1)
        async with under_load(cluster):
            await some(cluster)
            hosts += ["127.0.0.2", "127.0.0.3"]
            await cluster.up(3)
            await some(cluster)
            assert min(cluster.taken.values()) > 0
            hosts.remove("127.0.0.1")
            await cluster.up(2)
            await cluster.stop(1)  # as the pod does once nobody is sent to it
            before = cluster.taken[1]
            await some(cluster)
            assert cluster.taken[1] == before
            hosts.remove("127.0.0.2")
            await cluster.up(1)
    assert cluster.taken[3] > 0


async def test_all_replaced_at_once_under_load(cluster: Cluster) -> None:
    hosts = ["127.0.0.1"]

    async def names(host: str) -> list[str]:
        return list(hosts)

    await cluster.start(1, 2)
    resolver = Resolver([Target("triton", cluster.port)], names)
    async with following(resolver, cluster.engines.set_addresses, seconds=0.05, again=cluster.engines.re_resolve):
        await cluster.up(1)
        async with under_load(cluster):
            for number in (2, 1, 2):
                before = cluster.taken[number]
                hosts[:] = [f"127.0.0.{number}"]
                async with asyncio.timeout(20):
                    while cluster.taken[number] == before or cluster.series(3 - number):  # noqa: ASYNC110
                        await asyncio.sleep(0)
                assert cluster.value("engines") == 1


async def test_no_series_are_left_of_one_that_came_and_went_with_a_request_under_way(cluster: Cluster) -> None:
    await cluster.start(1, 2)
    cluster.use(1, 2)
    await cluster.up(2)
    arrived, release = asyncio.Semaphore(0), asyncio.Event()
    cluster.fakes[1].behaviours["tagger"] = holding(arrived, release)
    waiting = [asyncio.create_task(cluster.infer()) for _ in range(2)]
    await arrived.acquire()
    cluster.use(2)
    cluster.use(1, 2)
    await cluster.up(2)
    cluster.use(2)
    async with asyncio.timeout(20):
        while len(cluster.engines._lives) > 2:  # noqa: ASYNC110 - the end of a connection has no event
            await asyncio.sleep(0)
        assert cluster.series(1)
        release.set()
        await asyncio.gather(*waiting)
        while cluster.series(1):  # noqa: ASYNC110
            await asyncio.sleep(0)
