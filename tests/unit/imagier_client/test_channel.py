# SPDX-License-Identifier: Apache-2.0
"""What both clients ask of a connection."""

from __future__ import annotations

import pytest
from grpc_health.v1 import health_pb2
from imagier_client import channel
from imagier_client.errors import UnavailableError

Status = health_pb2.HealthCheckResponse


def test_the_health_protocols_bytes_are_its_own() -> None:
    assert health_pb2.HealthCheckRequest().SerializeToString() == channel.HEALTH_REQUEST
    name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    assert f"/{name}/Check" == channel.HEALTH_METHOD
    channel.expect_serving(Status(status=Status.SERVING).SerializeToString())


@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.NOT_SERVING, Status.SERVICE_UNKNOWN])
def test_anything_but_serving_is_worth_another_look(status: Status.ServingStatus.ValueType) -> None:
    with pytest.raises(UnavailableError) as caught:
        channel.expect_serving(Status(status=status).SerializeToString())
    assert caught.value.retryable


def test_retries_of_grpc_are_off() -> None:
    assert dict(channel.OPTIONS)["grpc.enable_retries"] == 0


@pytest.mark.parametrize(
    ("target", "endpoint"),
    [
        ("imagier:8500", "imagier:8500"),
        ("dns:///imagier:8500", "dns:///imagier:8500"),
        ("10.0.0.1:8500", "10.0.0.1:8500"),
        ("10.0.0.1:8500,10.0.0.2:8500", "ipv4:10.0.0.1:8500,10.0.0.2:8500"),
        ("[::1]:8500,[::2]:8500", "ipv6:[::1]:8500,[::2]:8500"),
        ("ipv4:10.0.0.1:8500,10.0.0.2:8500", "ipv4:10.0.0.1:8500,10.0.0.2:8500"),
    ],
)
def test_several_servers_are_a_name_or_a_list_of_addresses(target: str, endpoint: str) -> None:
    assert channel.endpoint(target) == endpoint


@pytest.mark.parametrize("target", ["one:8500,two:8500", "10.0.0.1:8500,[::1]:8500", "10.0.0.1:8500,"])
def test_what_grpc_would_never_reach_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="IP addresses"):
        channel.endpoint(target)
