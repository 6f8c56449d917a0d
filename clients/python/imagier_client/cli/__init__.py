# SPDX-License-Identifier: Apache-2.0
"""The command `imagier`, for people and scripts. It comes with the extra `cli`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 3 if the packages that it needs are not installed."""
    try:
        from imagier_client.cli import commands  # noqa: PLC0415 - the library is installed without them
    except ModuleNotFoundError as error:
        print(f"imagier: {error.name} is not installed; run: pip install 'imagier[cli]'", file=sys.stderr)
        return 3
    return commands.main(argv)
