# SPDX-License-Identifier: Apache-2.0
"""The set-up of a gRPC channel, and the health check that both clients make on it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import grpc

from imagier_client.errors import ImagierClientError, InvalidRequestError, UnavailableError, from_rpc_error
from imagier_client.proxies import is_local, proxy_before
from imagier_client.retry import RetryPolicy

OPTIONS: Final[list[tuple[str, int | str]]] = [
    # Of several servers behind one name, each call goes to the next that is connected; gRPC's own choice would be one for all.
    ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
    # A name is looked up again when a connection ends; by default not before half a minute has passed.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # Retries are decided in retry.py, which says why.
    ("grpc.enable_retries", 0),
    # Sizes are checked against the server's own limits before sending; answers are kilobytes, a dense page with words a few more.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", 32 * 2**20),
    # A peer that vanished without a word is noticed while a call waits for it. Fewer pings than servers punish.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Answers are small: there is no window to be tuned, and gRPC's probes of a fast connection are pings that servers punish, too.
    ("grpc.http2.bdp_probe", 0),
    # gRPC would wait 1 s and then up to 2 min before it even tries to connect again; meanwhile each attempt fails at once. All
    # attempts of retry.py together must see a server that has come back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # In spite of its name: how long one attempt to connect may take. A busy server needs its time.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]

_IPV4_LIST: Final = re.compile(r"[\d.]+:\d+(,[\d.]+:\d+)+")
_IPV6_LIST: Final = re.compile(r"\[[0-9a-fA-F:.]+\]:\d+(,\[[0-9a-fA-F:.]+\]:\d+)+")
_ONE_HOST: Final = re.compile(r"(?:dns:(?://[^/]*/)?)?(\[[0-9a-fA-F:.%]+\]|[^\[\]:/,\s]+):(\d{1,5})")
_MANY_HOSTS: Final = re.compile(r"(?:ipv4|ipv6):(.+)")
_OTHER_TLS: Final = ("CERTIFICATE_VERIFY_FAILED", "Hostname Verification Check failed", "WRONG_VERSION_NUMBER")
"""gRPC's words for a server with another certificate, or without TLS: asking again changes nothing."""
_SOCKETS: Final = ("unix:", "unix-abstract:", "vsock:")

PATIENT: Final = RetryPolicy(max_attempts=2**31, initial_backoff=0.05, max_backoff=1.0)
"""The policy for waiting until a server is ready: only the deadline ends it."""

GOODBYE_SECONDS: Final = 2.0
"""Seconds that a stream whose pictures are all answered waits for the server to end it."""

# The health protocol has two messages of one field each; its generated stubs come in a distribution that only servers need.
HEALTH_METHOD: Final = "/grpc.health.v1.Health/Check"
HEALTH_REQUEST: Final = b""
_SERVING: Final = b"\x08\x01"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of a server: gRPC's target `uri`, the channel's `options`, and the `proxy` that the environment names."""

    uri: str
    options: Sequence[tuple[str, int | str]]
    proxy: str = ""

    def failure(self, error: grpc.RpcError) -> ImagierClientError:
        """Returns the error behind a failed call. If no server has answered, it names the address and the proxy."""
        made = from_rpc_error(error)
        if not (made.retryable and made.reason == "" and made.retry_after is None):
            return made
        through = f" through the proxy {self.proxy}" if self.proxy else ""
        retryable = not any(words in made.message for words in _OTHER_TLS)
        return UnavailableError(
            f"no answer from {self.uri}{through}: {made.message}", code=made.code, retryable=retryable
        )


def endpoint(target: str) -> Endpoint:
    """Returns the address of a target: HOST:PORT, a list "IP:PORT,IP:PORT", a socket, or another scheme of gRPC.

    A server on this machine is reached without a proxy. Raises InvalidRequestError.
    """
    if not isinstance(target, str) or not target:
        raise InvalidRequestError("the server's address is needed: HOST:PORT", field="target")
    for scheme, pattern in (("ipv4", _IPV4_LIST), ("ipv6", _IPV6_LIST)):
        if pattern.fullmatch(target):
            target = f"{scheme}:{target}"
    hosts = _hosts(target)
    if hosts is None:  # a socket, or a scheme that only gRPC knows
        return Endpoint(target, [*OPTIONS, ("grpc.enable_http_proxy", int(not target.startswith(_SOCKETS)))])
    if all(map(is_local, hosts)):
        return Endpoint(target, [*OPTIONS, ("grpc.enable_http_proxy", 0)])
    return Endpoint(target, OPTIONS, proxy_before(hosts))


def _hosts(target: str) -> list[str] | None:
    """Returns the hosts of a target, `None` for one without. Raises InvalidRequestError."""
    if many := _MANY_HOSTS.fullmatch(target):
        return [part.rpartition(":")[0].strip("[]") for part in many[1].split(",")]
    if one := _ONE_HOST.fullmatch(target):
        if not 0 < int(one[2]) < 2**16:
            raise InvalidRequestError("the server's port is a number from 1 to 65535", field="target")
        return [one[1].strip("[]")]
    if "," in target:
        raise InvalidRequestError(
            "several servers are IP addresses of one family, or one name that has them all", field="target"
        )
    if target.startswith(_SOCKETS) or re.match(r"(?!https?:|dns:)[a-z][a-z0-9+.-]*:[^\d]", target):
        return None
    raise InvalidRequestError("the server's address is HOST:PORT, without http://", field="target")


def expect_serving(health_response: bytes) -> None:
    """Raises UnavailableError unless the answer to HEALTH_REQUEST says SERVING."""
    if health_response != _SERVING:
        raise UnavailableError("the server is up but not ready", reason="NOT_SERVING", retryable=True)
