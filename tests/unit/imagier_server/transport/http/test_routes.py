# SPDX-License-Identifier: Apache-2.0
"""Where endpoints lie, and who may have which path."""

from __future__ import annotations

import pytest
from imagier_server.transport.http.door import Door
from imagier_server.transport.http.facades.facade import Endpoint
from imagier_server.transport.http.routes import PathConflictError, ProgramRoute, check_paths, laid_out
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient


async def nothing(request: Request, door: Door) -> Response:
    return Response()


async def program(request: Request) -> Response:
    return PlainTextResponse("program")


async def page(request: Request) -> Response:
    return PlainTextResponse("page")


def test_endpoints_lie_under_the_prefix_and_some_at_the_root_too() -> None:
    endpoints = (Endpoint("/ocr", nothing), Endpoint("/ping", nothing, at_root=True))
    assert [each.path for each in laid_out("/x", endpoints)] == ["/x/ocr", "/ping", "/x/ping"]
    assert [each.path for each in laid_out("", endpoints)] == ["/ocr", "/ping"]


def test_two_for_one_request_are_refused_by_name() -> None:
    get, post = (Endpoint("/ping", nothing, (method,)) for method in ("GET", "POST"))
    check_paths({"one": [get], "other": [post]})
    with pytest.raises(PathConflictError, match=r"one and other both answer GET /ping: .*--http-facades"):
        check_paths({"one": [get], "other": [post, get]})
    with pytest.raises(PathConflictError):
        check_paths({"one": [Endpoint("/x/{key}/y", nothing)], "other": [Endpoint("/x/{name:path}/y", nothing)]})
    with pytest.raises(PathConflictError, match="the page and one"):
        check_paths({"one": [Endpoint("/", nothing, ("GET",))]}, [Route("/", page)])


def test_an_endpoint_for_programs_may_share_the_path_of_the_page() -> None:
    check_paths({"one": [Endpoint("/", nothing, ("GET",), browsers=False)]}, [Route("/", page)])
    client = TestClient(Starlette(routes=[ProgramRoute("/", program), Route("/", page)]))
    assert client.get("/", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}).text == "page"
    assert client.get("/", headers={"accept": "*/*"}).text == "program"
    assert client.get("/", headers={"accept": "application/json"}).text == "program"
