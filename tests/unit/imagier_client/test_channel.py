# SPDX-License-Identifier: Apache-2.0
"""What both clients ask of a connection."""

from __future__ import annotations

import pytest
from grpc_health.v1 import health_pb2
from imagier_client import channel
from imagier_client.errors import InvalidRequestError, UnavailableError

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
    assert channel.endpoint(target).uri == endpoint


@pytest.mark.parametrize("target", ["one:8500,two:8500", "10.0.0.1:8500,[::1]:8500", "10.0.0.1:8500,"])
def test_what_grpc_would_never_reach_is_refused(target: str) -> None:
    with pytest.raises(InvalidRequestError, match="IP addresses"):
        channel.endpoint(target)


@pytest.mark.parametrize(
    "target", ["", None, "imagier", "http://imagier:8500", "imagier:0", "imagier:99999", "::1:8500"]
)
def test_what_is_no_address_is_refused(target: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        channel.endpoint(target)
    assert caught.value.field == "target"


@pytest.mark.parametrize(
    "target",
    [
        "localhost:8500",
        "LOCALHOST.:8500",
        "127.0.0.1:8500",
        "127.9.9.9:8500",
        "0.0.0.0:8500",
        "[::1]:8500",
        "[::ffff:127.0.0.1]:8500",
        "dns:///localhost:8500",
        "127.0.0.1:8500,127.0.0.2:8500",
        "unix:/run/imagier",
        "unix:///run/imagier",
        "unix-abstract:imagier",
    ],
)
def test_no_proxy_is_before_what_is_on_this_machine(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:3128")
    made = channel.endpoint(target)
    assert dict(made.options)["grpc.enable_http_proxy"] == 0
    assert made.proxy == ""
