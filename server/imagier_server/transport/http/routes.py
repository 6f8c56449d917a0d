# SPDX-License-Identifier: Apache-2.0
"""Lays out the paths of the HTTP door: a façade's under its prefix, some at the root, too, and no two for the same request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from starlette.routing import Match, Route
from starlette.types import Scope

from imagier_server.transport.http.facades.facade import Endpoint

_PARAMETER = re.compile(r"\{[^}]*\}")


class PathConflictError(OSError):
    """Two parts of the server would answer the same request."""


class ProgramRoute(Route):
    """A route that leaves a request which accepts text/html, such as a browser's, to others."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if any(name == b"accept" and b"text/html" in value.lower() for name, value in scope["headers"]):
            return Match.NONE, {}
        return super().matches(scope)


def laid_out(prefix: str, endpoints: Iterable[Endpoint]) -> Iterator[Endpoint]:
    """The endpoints with their whole paths: each under the prefix, and at the root if it is to be there, too."""
    for endpoint in endpoints:
        if endpoint.at_root or not prefix:
            yield endpoint
        if prefix:
            yield replace(endpoint, path=prefix + endpoint.path, browsers=True)


def check_paths(owners: Mapping[str, Iterable[Endpoint]], files: Iterable[Route] = ()) -> None:
    """Raises `PathConflictError` if two endpoints have the same path and method, whatever the names of parameters.

    `files` are the page's.
    """
    taken = {(route.path, "GET", True): "the page" for route in files}
    for owner, endpoints in owners.items():
        for endpoint in endpoints:
            for method in endpoint.methods:
                key = (_PARAMETER.sub("{}", endpoint.path), method, endpoint.browsers)
                if other := taken.get(key):
                    raise PathConflictError(
                        f"{other} and {owner} both answer {method} {endpoint.path}: leave one out of --http-facades"
                    )
                taken[key] = owner
