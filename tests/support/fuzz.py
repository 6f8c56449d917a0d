# SPDX-License-Identifier: Apache-2.0
"""`python tests/support/fuzz.py TARGET FOLDER [libFuzzer's flags]`: fuzzes a target; FOLDER gets corpus and findings.

With `-runs=0` only the seeds run; a finding runs again with its file in the place of the flags.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

# Python only: libjpeg and its like run as they are, and a crash of theirs is found by chance, not by coverage.
with atheris.instrument_imports(include=["imagier_server", "imagier_client", "PIL", "pi_heif", "pydantic_settings"]):
    from support.fuzz_targets import TARGETS

MEMORY_MIB = 3000


def main(name: str, folder: Path, *flags: str) -> None:
    logging.disable()  # a task that fails on nonsense says so each time
    target, seeds = TARGETS[name]
    corpus, findings = folder / "corpus", folder / "findings"
    for each in (corpus, findings):
        each.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
        target(seed)
    given = [flag for flag in flags if not flag.startswith("-")]
    limits = [f"-artifact_prefix={findings}/", "-timeout=20", f"-rss_limit_mb={MEMORY_MIB}", "-max_len=16384"]
    atheris.Setup([sys.argv[0], *limits, *flags, *([] if given else [str(corpus)])], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
