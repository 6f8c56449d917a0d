# SPDX-License-Identifier: Apache-2.0
"""Documents that repeat the code say what the code says."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

from google.protobuf import json_format
from imagier.v1 import annotator_pb2
from imagier_server.settings import Settings

ROOT = Path(__file__).parents[2]
COMPUTED = "number of usable cores"


def settings_table() -> str:
    rows = ["| setting | default | what |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = COMPUTED if field.default_factory else f"`{field.default}`" if field.default is not None else ""
        rows.append(f"| `{name}` | {default} | {field.description} |")
    return "\n".join(rows)


def test_every_setting_has_a_description_and_stands_in_the_documentation() -> None:
    assert all(field.description for field in Settings.model_fields.values())
    assert settings_table() in (ROOT / "docs" / "server.md").read_text(encoding="utf-8")


def test_the_request_of_the_readme_is_one() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (template,) = re.findall(r"printf '(\{.*\})'", readme)
    request = json_format.ParseDict(json.loads(template.replace("%s", "QUJD")), annotator_pb2.AnnotateRequest())
    assert request.HasField("tags")
    assert request.HasField("text")
    assert "imagier.v1.AnnotatorService/Annotate" in readme


def test_every_link_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_figures_are_those_that_were_measured() -> None:
    written = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
    assert written == runpy.run_path(str(ROOT / "benchmarks" / "quality.py"))["page"]()
