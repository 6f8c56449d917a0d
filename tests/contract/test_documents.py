# SPDX-License-Identifier: Apache-2.0
"""Documents that repeat the code say what the code says."""

from __future__ import annotations

import json
import re
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


def test_the_request_of_the_developers_quick_start_is_one() -> None:
    page = (ROOT / "docs" / "start" / "developer.md").read_text(encoding="utf-8")
    (template,) = re.findall(r"printf '(\{.*\})'", page)
    request = json_format.ParseDict(json.loads(template.replace("%s", "QUJD")), annotator_pb2.AnnotateRequest())
    assert request.HasField("tags")
    assert request.HasField("ocr")
    assert "imagier.v1.AnnotatorService/Annotate" in page


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 700


def test_every_link_leads_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_page_on_tasks_shows_the_code_of_the_example() -> None:
    page = (ROOT / "docs" / "contributing" / "add-a-task.md").read_text("utf-8")
    example = ROOT / "tests" / "support" / "example_task"
    files = [example / "pyproject.toml", *(example / "imagier_brightness").glob("*.*")]
    code = "\n".join(path.read_text("utf-8") for path in files if path.suffix in {".py", ".proto", ".toml"})
    shown = re.findall(r"^```(?:proto|python|toml)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(shown) == 9
    assert [block for block in shown if block.strip() not in code and "localhost:8500" not in block] == []
