# SPDX-License-Identifier: Apache-2.0
"""Counts what each key has in flight, against the key's own limits."""

from __future__ import annotations

from dataclasses import dataclass

from imagier_server.call import CallContext, KeyLimits
from imagier_server.errors import Quota


def limits_of(call: CallContext, default: KeyLimits) -> KeyLimits:
    """The limits of a call's key: its own, else those of `default`."""
    own = call.identity.limits if call.identity else KeyLimits()
    return KeyLimits(
        default.pictures if own.pictures is None else own.pictures,
        default.in_flight if own.in_flight is None else own.in_flight,
        default.in_flight_bytes if own.in_flight_bytes is None else own.in_flight_bytes,
    )


def holder_of(call: CallContext) -> str:
    """The name of who has the limits: the key, or the address on a server without keys."""
    return f"key {call.identity.key_id}" if call.identity else call.caller.group


@dataclass(frozen=True, slots=True)
class Holder:
    """A key, or an address on a server without keys, and what it may have in flight; 0 for no limit."""

    name: str = ""
    pictures: int = 0
    total_bytes: int = 0


NO_LIMIT = Holder()


class Holdings:
    """What is in flight by holder. `default` are the limits of a key that has none of its own."""

    def __init__(self, default: KeyLimits | None = None) -> None:
        self._default = default or KeyLimits()
        self._held: dict[str, tuple[int, int]] = {}

    def of(self, call: CallContext) -> Holder:
        """Who holds the pictures of a call."""
        limits = limits_of(call, self._default)
        if not (limits.in_flight or limits.in_flight_bytes):
            return NO_LIMIT
        return Holder(holder_of(call), limits.in_flight or 0, limits.in_flight_bytes or 0)

    def full(self, holder: Holder, size: int) -> Quota | None:
        """The quota that a file of `size` bytes would exceed; a file larger than the quota of bytes is admitted alone."""
        pictures, held_bytes = self._held.get(holder.name, (0, 0))
        if holder.pictures and pictures >= holder.pictures:
            return Quota.KEY_IN_FLIGHT
        if holder.total_bytes and pictures and held_bytes + size > holder.total_bytes:
            return Quota.KEY_IN_FLIGHT_BYTES
        return None

    def change(self, holder: Holder, pictures: int, size: int) -> None:
        """Add to what is in flight; negative values end it."""
        if holder is not NO_LIMIT:
            held = self._held.get(holder.name, (0, 0))
            now = held[0] + pictures, held[1] + size
            if now[0]:
                self._held[holder.name] = now
            else:
                del self._held[holder.name]
