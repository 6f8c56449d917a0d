# SPDX-License-Identifier: Apache-2.0
"""A document for each picture, ALTO or hOCR, beside it or in a folder."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from imagier_client.documents.alto import to_alto
from imagier_client.documents.hocr import to_hocr
from imagier_client.files.paths import STDIN, SUFFIXES, UNNAMED, looks_like_picture
from imagier_client.files.targets import Targets, whole
from imagier_client.messages import Annotation

STDOUT = Path("-")
STYLES = {"alto": ".alto.xml", "hocr": ".hocr"}


class Documents:
    """The documents of one run, in `folder`, which is made if need be; None is beside each picture, STDOUT standard output.

    Raises OSError if the folder cannot be made.
    """

    def __init__(self, style: str, folder: Path | None, pictures: Iterable[Path]) -> None:
        if folder is not None and folder != STDOUT:
            folder.mkdir(parents=True, exist_ok=True)
        self._style = style
        self._folder = folder
        self._targets = Targets(pictures)
        self._stems: dict[Path, Counter[str]] = {}

    def write(self, path: Path, annotation: Annotation) -> Path | None:
        """Writes `page.alto.xml` for `page.tif`; returns where. Raises OSError, or the OCR task's error if that failed.

        `page.tif.alto.xml` if there is a `page.jpg` too: the name must not depend on which of them is read first.
        """
        if path == STDIN:
            path = Path(UNNAMED)
        alto = self._style == "alto"
        content = to_alto(annotation, path.name, datetime.now(UTC)) if alto else to_hocr(annotation, path.name)
        if self._folder == STDOUT:
            sys.stdout.buffer.write(content)
            sys.stdout.flush()
            return None
        name = path.stem if self._namesakes(path) < 2 else path.name
        target = self._targets.take(self._folder or path.parent, name, STYLES[self._style], looks_like_picture)
        with whole(target) as file:
            file.write(content)
        return target

    def _namesakes(self, path: Path) -> int:
        """Counts the pictures of its folder that have its name, whatever their suffix."""
        if path.parent not in self._stems:
            try:
                beside = list(path.parent.iterdir())
            except OSError:
                beside = []
            pictures = (other for other in beside if other.suffix.lower() in SUFFIXES)
            self._stems[path.parent] = Counter(other.stem.lower() for other in pictures)
        return self._stems[path.parent][path.stem.lower()]
