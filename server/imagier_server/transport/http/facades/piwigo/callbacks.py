# SPDX-License-Identifier: Apache-2.0
"""Sends results to a Piwigo whose origin the key allows, a few times; what does not arrive waits to be collected."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import uniform

from imagier_server import endpoints
from imagier_server.errors import ImagierError, InvalidRequestError
from imagier_server.transport.http.posting import Answered, Poster

_PAGE = "ws.php"
_QUERY = "format=json&method=pwg.ai.analyze"
PAUSES = (2.0, 10.0, 60.0)
"""Seconds between two tries."""


def allowed(callback: str, origins: Sequence[str]) -> bool:
    """Whether the key allows a callback's origin. Raises `InvalidRequestError` if it is no URL."""
    try:
        return endpoints.origin(callback) in origins
    except ValueError as error:
        raise InvalidRequestError(f"this is no URL of a Piwigo: {error}", field="callback") from None


def page_of(callback: str) -> str:
    """The page that takes results: the callback itself, or that page of the Piwigo whose root it is."""
    address, _, query = callback.partition("#")[0].partition("?")
    if not address.endswith(f"/{_PAGE}"):
        return f"{address.rstrip('/')}/{_PAGE}?{_QUERY}"
    return f"{address}?{query or _QUERY}"


@dataclass(frozen=True, slots=True)
class Callbacks:
    """The callbacks of one server."""

    poster: Poster
    pauses: tuple[float, ...]

    async def send(self, page: str, fields: Mapping[str, str]) -> bool:
        """Send a result; return whether Piwigo has taken it."""
        for pause in (*self.pauses, None):
            with suppress(ImagierError):
                taken = _taken(await self.poster.post(page, fields))
                if taken is not None:
                    return taken
            if pause is not None:
                await asyncio.sleep(pause * uniform(1.0, 1.5))  # noqa: S311 - no secret
        return False

    async def reaches(self, url: str) -> bool:
        """Whether something answers there."""
        try:
            return (await self.poster.get(url)).status < 500
        except ImagierError:
            return False


def _taken(answered: Answered) -> bool | None:
    """Whether Piwigo has taken the result; None if another try may help."""
    if answered.status >= 500:
        return None
    try:
        said = json.loads(answered.body)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict):
        return said.get("stat") == "ok"  # if not, it knows neither us nor the ticket: no try will change that
    return None if answered.status == 200 else False
