# SPDX-License-Identifier: Apache-2.0
"""Virtual environments of the programs that `make bench` compares with, each its own, made once under .stamps/peers."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".stamps" / "peers"

# Every version is pinned: a figure belongs to the release that it was measured with. ONNX Runtime and Pillow are those of our own
# environment at that time, so that servers differ and not the libraries below.
PEERS: dict[str, tuple[str, ...]] = {
    # Lightning AI's server for models in Python: what one writes in an afternoon.
    "litserve": ("litserve==0.2.19", "python-multipart==0.0.34", "onnxruntime==1.32.0", "pillow==13.0.0"),
    # The release whose weights our recogniser and detector come from.
    "rapidocr": ("rapidocr==3.10.0", "onnxruntime==1.32.0"),
    # The same, and OpenVINO as it was when docs/performance.md first named it.
    "rapidocr-openvino": ("rapidocr==3.10.0", "openvino==2026.4.0"),
    # The same networks in Rust; its wheel contains an ONNX Runtime of its own, and the weights of small and tiny.
    "faster-paddle": ("faster-paddle==1.0.4",),
}
# OpenVINO without it sends nothing and runs as well. ONNX Runtime's telemetry is off by a variable, which importing imagier_server
# sets; the ONNX Runtime in faster-paddle is older than it.
UNWANTED = ("openvino-telemetry",)


def python(peer: str) -> Path:
    """The interpreter of a peer's environment, which is made if there is none with these versions."""
    wanted = PEERS[peer]
    mark = hashlib.sha256("\n".join((sys.version, *wanted)).encode()).hexdigest()[:12]
    place = FOLDER / f"{peer}-{mark}"
    if not (place / ".made").exists():
        print(f"  making an environment for {', '.join(wanted)}", file=sys.stderr)
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        pip = [place / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *wanted]
        subprocess.run(pip, check=True)
        subprocess.run([*pip[:4], "uninstall", "--quiet", "--yes", *UNWANTED], check=True, stderr=subprocess.DEVNULL)
        (place / ".made").touch()
    return place / "bin" / "python"


def releases() -> dict[str, str]:
    """Releases by peer, for the results."""
    return {peer: wanted[0].partition("==")[2] for peer, wanted in PEERS.items()}
