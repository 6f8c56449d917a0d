# SPDX-License-Identifier: Apache-2.0
"""`python examples/annotate_folder.py FOLDER [HOST:PORT]`: prints the tags and the text of each JPEG and PNG in a folder."""

import sys
from pathlib import Path

from imagier_client import Client, ImagierClientError, Ocr, Tags


def main(folder: Path, server: str) -> int:
    """Returns the exit status: 1 if a picture could not be read."""
    failed = 0
    with Client(server) as client:
        for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"}):
            try:
                answer = client.annotate(path, Tags(max_tags=3), Ocr(), languages=["en"])
            except ImagierClientError as error:  # it says what to do; what a retry may help has been retried
                print(f"{path.name}: {error}", file=sys.stderr)
                failed = 1
                continue
            # Each task has an outcome of its own: one may fail where the other does not.
            tags, text = answer[Tags], answer[Ocr]
            print(path.name)
            print("  tags:", ", ".join(f"{tag.name} {tag.score:.2f}" for tag in tags.tags) if tags.ok else tags.error)
            print("  text:", " / ".join(line.text for line in text.lines) if text.ok else text.error)
    return failed


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1:8500"))
