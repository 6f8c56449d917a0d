# SPDX-License-Identifier: Apache-2.0
"""How a connection to a server is set up, and what both clients ask of it besides annotating: is it ready?"""

from __future__ import annotations

import re
from typing import Final

from imagier_client.errors import UnavailableError
from imagier_client.retry import RetryPolicy

OPTIONS: Final[list[tuple[str, int | str]]] = [
    # Of several servers behind one name, each call goes to the next that is connected; gRPC's own choice would be one for all.
    ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
    # A name is looked up again when a connection ends; by default not before half a minute has passed.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # Retries are decided in retry.py, which knows what the server's details mean.
    ("grpc.enable_retries", 0),
    # Sizes are checked against the server's own limits before sending; answers are kilobytes, a dense page with words a few more.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", 32 * 2**20),
    # A peer that vanished without a word is noticed while a call waits for it. Fewer pings than servers punish.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # gRPC would wait 1 s and then up to 2 min before it even tries to connect again; meanwhile each attempt fails at once. All
    # attempts of retry.py together must see a server that has come back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    # In spite of its name: how long one attempt to connect may take. A busy server needs its time.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]

_IPV4_LIST: Final = re.compile(r"[\d.]+:\d+(,[\d.]+:\d+)+")
_IPV6_LIST: Final = re.compile(r"\[[0-9a-fA-F:.]+\]:\d+(,\[[0-9a-fA-F:.]+\]:\d+)+")

PATIENT: Final = RetryPolicy(max_attempts=2**31, initial_backoff=0.05, max_backoff=1.0)
"""For waiting until a server is ready: only the deadline ends it."""

GOODBYE_SECONDS: Final = 2.0
"""How long a stream whose pictures are all answered waits for the server to end it."""

# The health protocol has two messages of one field each; its generated stubs come in a distribution that only servers need.
HEALTH_METHOD: Final = "/grpc.health.v1.Health/Check"
HEALTH_REQUEST: Final = b""
_SERVING: Final = b"\x08\x01"


def endpoint(target: str) -> str:
    """The target in gRPC's words: as it is, or a list "IP:PORT,IP:PORT" with its scheme. Raises ValueError for a list of names."""
    for scheme, pattern in (("ipv4", _IPV4_LIST), ("ipv6", _IPV6_LIST)):
        if pattern.fullmatch(target):
            return f"{scheme}:{target}"
    if "," in target and not target.startswith(("ipv4:", "ipv6:")):
        raise ValueError("several servers are IP addresses of one family, or one name that has them all")
    return target


def expect_serving(health_response: bytes) -> None:
    """Raises UnavailableError unless the answer to HEALTH_REQUEST says SERVING."""
    if health_response != _SERVING:
        raise UnavailableError("the server is up but not ready", reason="NOT_SERVING", retryable=True)
