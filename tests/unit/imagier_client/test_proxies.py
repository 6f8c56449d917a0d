# SPDX-License-Identifier: Apache-2.0
"""What is said of the environment's proxies; that gRPC goes the same way is proved before a real server."""

from __future__ import annotations

import pytest
from imagier_client import channel
from imagier_client.proxies import is_local


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.8.8.8", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"])
def test_this_machine_by_its_names(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", ["imagier", "localhost.example", "128.0.0.1", "::2", "::ffff:10.0.0.1"])
def test_other_machines(host: str) -> None:
    assert not is_local(host)


@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
def test_a_proxy_before_other_machines_is_known_by_its_variable(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "http://me:secret@proxy.invalid:3128")
    for target in ("imagier.example:8500", "192.0.2.1:8500", "dns:///imagier.example:8500", "[2001:db8::1]:8500"):
        made = channel.endpoint(target)
        assert made.proxy == f"proxy.invalid:3128 (of {variable})"
        assert "grpc.enable_http_proxy" not in dict(made.options)
    for name, exceptions in (
        ("no_proxy", "other, .example,192.0.2.0/24"),
        ("no_grpc_proxy", "imagier.example,192.0.2.1"),
    ):
        with monkeypatch.context() as excepted:
            excepted.setenv(name, exceptions)
            assert channel.endpoint("imagier.example:8500").proxy == ""
            assert channel.endpoint("192.0.2.1:8500").proxy == ""
            assert channel.endpoint("192.0.3.1:8500").proxy != ""
