# SPDX-License-Identifier: Apache-2.0
"""The registry of façades: one line each."""

from __future__ import annotations

from imagier_server.transport.http.facades import azure, immich, mt_photos, ollama, openai, photoprism
from imagier_server.transport.http.facades.facade import Facade
from imagier_server.transport.http.facades.piwigo import api as piwigo

BUILT_IN: tuple[Facade, ...] = (
    openai.FACADE,
    ollama.FACADE,
    photoprism.FACADE,
    immich.FACADE,
    piwigo.FACADE,
    azure.FACADE,
    mt_photos.FACADE,
)

ALL = "all"


class UnknownFacadeError(OSError):
    """The setting names a façade that there is not."""


def enabled(names: str) -> tuple[Facade, ...]:
    """The façades of the setting: `ALL`, or names separated by commas. Raises `UnknownFacadeError`."""
    if names == ALL:
        return BUILT_IN
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    if wanted - {facade.name for facade in BUILT_IN}:
        known = ", ".join(facade.name for facade in BUILT_IN) or "none"
        raise UnknownFacadeError(f"--http-facades names one that there is not: this server has {known}")
    return tuple(facade for facade in BUILT_IN if facade.name in wanted)
