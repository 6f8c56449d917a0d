# SPDX-License-Identifier: Apache-2.0
"""`python examples/annotate_stream.py FOLDER [HOST:PORT]`: a whole library on one stream, as JSON lines of path and tags.

The stream keeps eight pictures in flight, waits where the server is busy, and connects again where it is restarted.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from imagier_client import AsyncClient, ImagierClientError, Tags


def pictures(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Pairs of a key, which comes back with the answer, and a picture: here the path is both. Read when it is its turn."""
    for path in folder.rglob("*"):
        if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp", ".heic", ".tif", ".tiff"}:
            yield path, path


async def main(folder: Path, server: str) -> int:
    """Returns the exit status: 1 if a picture could not be read."""
    failed = 0
    async with AsyncClient(server) as client:
        # Answers come as they are finished, not in order.
        async for path, answer in client.annotate_many(pictures(folder), Tags(), languages=["en"], in_flight=8):
            error = answer if isinstance(answer, ImagierClientError) else answer[Tags].error
            if error is not None:
                print(f"{path}: {error}", file=sys.stderr)
                failed = 1
            else:
                print(json.dumps({"path": str(path), "tags": [tag.name for tag in answer[Tags].tags]}), flush=True)
    return failed


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1:8500")))
