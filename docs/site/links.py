# SPDX-License-Identifier: Apache-2.0
"""A hook of MkDocs: a link from a page to a file of the repository becomes a link to where the repository is published.

`REPOSITORY_URL` says where that is, such as https://…/blob/v0.1.0; without it the link becomes plain text. A file that is missing
fails the build.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>(?:\.\./)+[^)#\s]+)(?P<anchor>#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Rewrites the links that leave docs/. Raises FileNotFoundError for one that leads nowhere."""
    docs = Path(config.docs_dir)
    folder = (docs / page.file.src_uri).parent

    def rewritten(link: re.Match[str]) -> str:
        target = (folder / link["target"]).resolve()
        if target.is_relative_to(docs):
            return link[0]
        if not target.exists():
            raise FileNotFoundError(f"{page.file.src_uri} links to {link['target']}, which does not exist")
        if url := os.environ.get("REPOSITORY_URL"):
            return f"[{link['text']}]({url}/{target.relative_to(ROOT)}{link['anchor'] or ''})"
        return link["text"]

    return LINK.sub(rewritten, markdown)
