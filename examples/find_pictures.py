# SPDX-License-Identifier: Apache-2.0
"""`python examples/find_pictures.py FOLDER WORDS [HOST:PORT]`: ranks the pictures of a folder by what they show."""

import sys
from pathlib import Path

from imagier_client import Client, Embedding, ImagierClientError, ranked

BEST = 10


def main(folder: Path, words: str, server: str) -> int:
    """Returns the exit status: 1 if a picture could not be read."""
    failed = 0
    pictures = {}
    with Client(server) as client:
        # An application keeps these vectors, each with the name of its space, and asks for the words' only.
        paths = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
        for path, answer in client.annotate_many(((path, path) for path in paths), Embedding()):
            if isinstance(answer, ImagierClientError) or answer[Embedding].vector is None:
                error = answer if isinstance(answer, ImagierClientError) else answer[Embedding].error
                print(f"{path.name}: {error}", file=sys.stderr)
                failed = 1
            else:
                pictures[path] = answer[Embedding].vector
        query = client.embed_text([words]).vectors[0]
    for path, similarity in ranked(query, pictures)[:BEST]:
        print(f"{similarity:.3f}  {path.name}")
    return failed


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1:8500"))
