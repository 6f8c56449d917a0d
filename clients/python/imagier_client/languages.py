# SPDX-License-Identifier: Apache-2.0
"""Languages as callers name them (BCP 47), and as the server's answers do."""

from __future__ import annotations


def primary(language: str) -> str:
    """The language without its region or script, as the server understands it: "zh" of "zh-Hans" and of "zh_CN"."""
    return language.replace("_", "-").split("-")[0].lower()
