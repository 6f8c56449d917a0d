# SPDX-License-Identifier: Apache-2.0
"""What the page on dialects tells people to set and to run, works."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from imagier_server.transport.http.facades.registry import BUILT_IN
from imagier_server.transport.http.routes import laid_out
from support.running_gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADDRESS = "http://127.0.0.1:8502"
DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "dialects.md").read_text("utf-8")
PAGES = "".join(path.read_text("utf-8") for path in (DOCS / "dialects.md", *(DOCS / "integrations").glob("*.md")))
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
OURS = {facade.name: [each.path for each in laid_out(facade.prefix, facade.endpoints)] for facade in BUILT_IN}


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
async def test_an_example_runs(number: int, running: Gateway, jpeg: bytes, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(jpeg)
    assert ADDRESS in EXAMPLES[number]
    code = EXAMPLES[number].replace(ADDRESS, running.http)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, err) == (0, b"")
    assert b"tabby cat" in out


async def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("url", sorted(set(re.findall(rf"{ADDRESS}[\w/.-]*", PAGES))))
async def test_every_url_leads_to_an_endpoint(url: str) -> None:
    assert any(path.startswith(urlsplit(url).path) for paths in OURS.values() for path in paths)


async def test_the_table_has_every_endpoint_that_answers() -> None:
    named = set(re.findall(r"`(/(?:v1|api)/[\w/]+)`", PAGE))
    paths = (*OURS["openai"], *OURS["ollama"], *OURS["photoprism"])
    assert named - {"/v1/embeddings", "/api/embed"} == {
        path for path in paths if not path.endswith(("embeddings", "/embed", "/nsfw", "/face", "{name}"))
    }


async def test_what_is_to_be_copied_into_a_yaml_file_is_yaml() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGES, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        assert isinstance(yaml.safe_load(block), dict)
