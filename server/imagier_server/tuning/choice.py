# SPDX-License-Identifier: Apache-2.0
"""Which ways of running a model are tried, and which of those measured is taken."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from imagier_server.overlay import FP32, ONNX_RUNTIME, OPENVINO, Way

AS_FAST: Final = 0.95
"""Two rates this near are one: a machine's noise is as large."""
SOONER: Final = 0.9
"""A lone request must be answered in this part of the time to make up for a change."""
FEWEST: Final = 2
"""With one instance Triton's batcher misses a wake-up now and then (docs/models.md)."""
MORE_INSTANCES: Final = 1.1
"""What twice the instances, and their memory, must gain."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of a way: milliseconds of a request alone, and requests per second with many in flight.

    `fault`: why it may not be taken; "" if it may.
    """

    way: Way
    alone_ms: float = 0.0
    per_second: float = 0.0
    fault: str = ""


def engines(installed: Way, flags: Collection[str], *, openvino: bool) -> list[Way]:
    """The first round: the installed way first, then each engine and precision with its instances and threads.

    BF16 only where the processor computes in it; `flags` as in /proc/cpuinfo.
    """
    ways = [installed, replace(installed, accelerator=ONNX_RUNTIME, precision=FP32)]
    if openvino:
        ways.append(replace(installed, accelerator=OPENVINO, precision=FP32))
        if {"amx_bf16", "avx512_bf16", "bf16"} & set(flags):
            ways.append(replace(installed, accelerator=OPENVINO, precision="BF16"))
    return list(dict.fromkeys(ways))


def splits(fastest: Way, cores: int) -> list[Way]:
    """The second round: the fastest engine with the cores split between 2, 4, 8… instances, and with all of them in two."""
    counts = [FEWEST]
    while counts[-1] * 2 <= cores:
        counts.append(counts[-1] * 2)
    ways = [replace(fastest, instances=count, threads=max(1, cores // count)) for count in counts]
    ways.append(replace(fastest, instances=FEWEST, threads=cores))
    return [way for way in dict.fromkeys(ways) if way != fastest]


def best(measured: Sequence[Figures], installed: Way) -> Figures:
    """The way with the highest rate; of those as fast, the one that answers a lone request soonest.

    More instances must be worth their memory, and what is installed stays unless another way is clearly better. Without any sound
    way the installed one stays.
    """
    sound = [each for each in measured if not each.fault]
    own = next((each for each in measured if each.way == installed), None)
    if not sound:
        return own or Figures(installed)
    few = _few_instances(sound)
    highest = max(each.per_second for each in few)
    fast = [each for each in few if each.per_second >= AS_FAST * highest]
    found = min(fast, key=lambda each: (each.alone_ms, each.way.instances))
    if own in fast and own is not None and found.alone_ms > SOONER * own.alone_ms:
        return own
    return found


def _few_instances(sound: Sequence[Figures]) -> list[Figures]:
    """Those with the fewest instances, and those with more whose rate pays for them."""
    kept: list[Figures] = []
    for count in sorted({each.way.instances for each in sound}):
        rate = max((each.per_second for each in kept), default=0.0)
        kept += [each for each in sound if each.way.instances == count and each.per_second >= MORE_INSTANCES * rate]
    return kept
