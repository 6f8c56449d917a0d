# SPDX-License-Identifier: Apache-2.0
"""The README's Python snippet runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import samples
from support.real_server import ROOT, Server, encoded


def test_the_snippet(server: Server, tmp_path: Path) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in snippet.splitlines() if line]) <= 8
    (tmp_path / "photo.jpg").write_bytes(encoded(samples.street_sign(), "JPEG"))
    script = snippet.replace("127.0.0.1:8500", server.address)
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "street sign panneau de rue" in ran.stdout
    assert "Rue des Lilas" in ran.stdout
