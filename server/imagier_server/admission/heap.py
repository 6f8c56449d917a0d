# SPDX-License-Identifier: Apache-2.0
"""Measures the C heap, where gRPC keeps incomplete messages."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # of mallopt(3)
_LARGE = 1 << 20
_ARENAS = 4


class _Mallinfo2(ctypes.Structure):
    """Of mallinfo(3): what we read is `uordblks`, bytes in use on the heap."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


class Heap:
    """glibc's heap; with another C library `in_use` is 0.

    Blocks of a mebibyte and more (pictures, tensors) are mapped separately, so the heap grows mainly by the slices of
    messages being received.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None)
        self._glibc = libc if hasattr(libc, "mallinfo2") else None
        if self._glibc:
            libc.mallinfo2.restype = _Mallinfo2
            libc.malloc_trim.argtypes = [ctypes.c_size_t]
            libc.mallopt(_MMAP_THRESHOLD, _LARGE)
            libc.mallopt(_ARENA_MAX, _ARENAS)

    def in_use(self) -> int:
        """Bytes in use. Takes microseconds; milliseconds on a fragmented heap."""
        return int(self._glibc.mallinfo2().uordblks) if self._glibc else 0

    def trim(self) -> None:
        """Return free memory to the system."""
        if self._glibc:
            self._glibc.malloc_trim(0)
