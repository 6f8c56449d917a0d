# SPDX-License-Identifier: Apache-2.0
"""The page's files: what they may not hold, their words in both languages, and how they are served."""

from __future__ import annotations

import gzip
import json
import re
import runpy
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from imagier_server.transport.codecs.registry import codecs
from imagier_server.transport.http import page
from PIL import Image
from starlette.applications import Starlette
from starlette.types import Message

FOLDER = Path(page.__file__).parent
ROOT = Path(__file__).parents[6]
TEXTS = [path for path in sorted(FOLDER.rglob("*")) if path.suffix in {".html", ".css", ".js", ".svg"}]
STRING = re.compile(r'^  "([\w.-]+)": "(.*)",$', re.MULTILINE)


def strings(language: str) -> dict[str, str]:
    text = (FOLDER / "strings" / f"{language}.js").read_text("utf-8")
    found = STRING.findall(text)
    assert len(found) == len(dict(found)) == len([line for line in text.splitlines() if line.startswith("  ")])
    return dict(found)


APP = Starlette(routes=page.routes(8500))


@dataclass
class Answer:
    """What came back for a request."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""


async def ask(path: str, method: str = "GET", **given: str) -> Answer:
    answer = Answer()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.content += message.get("body", b"")

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    await APP(scope, receive, send)
    return answer


def test_every_string_is_there_in_both_languages_with_the_same_blanks() -> None:
    english, french = strings("en"), strings("fr")
    assert english.keys() == french.keys()
    for key, text in english.items():
        assert text
        assert french[key]
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", french[key])), key
    unspaced = re.compile(r"(?<!\u00a0)[;:?!»](\s|$)|«(?!\u00a0)")
    assert [key for key, text in french.items() if unspaced.search(text)] == [], "French: a space that never breaks"


def test_every_string_is_used_and_every_used_one_is_there() -> None:
    written = "".join(path.read_text("utf-8") for path in TEXTS if path.parent == FOLDER)
    used = set(re.findall(r'data-(?:text|label)="([\w.-]+)"', written))
    used |= set(re.findall(r'(?:say|knows)\(\s*"([\w.-]+)"', written)) | set(re.findall(r'pair\("([\w.-]+)"', written))
    counted = set(re.findall(r'count\(\s*"([\w.-]+)"', written))
    chosen = re.findall(r'\? "((?:work|key)\.\w+)" : "((?:work|key)\.\w+)"', written)
    used |= {key for pair in chosen for key in pair} | {f"{key}.{form}" for key in counted for form in ("one", "other")}
    assert used <= strings("en").keys()
    composed = ("choice.", "error.", "examples.", "option.", "task.", "time.STAGE_", "call.", "picture.", "noscript")
    assert [key for key in strings("en").keys() - used if not key.startswith(composed)] == []


def test_every_option_that_the_page_shows_has_its_words() -> None:
    script = (FOLDER / "options.js").read_text("utf-8")
    shown, for_programs = (
        set(re.findall(r'"([\w.]+)"', *re.findall(rf"const {name} = (.*);", script)))
        for name in ("TASKS", "OF_OBJECTS")
    )
    options = [f"{task}.{field.name}" for task in shown for field in codecs()[task].options.DESCRIPTOR.fields]
    assert for_programs < set(options)
    assert [key for key in options if (f"option.{key}" in strings("en")) is (key in for_programs)] == []


def test_every_choice_that_the_page_offers_is_one_of_the_contract_and_has_its_words() -> None:
    offered = re.findall(
        r'"([\w.]+)": \[(.*?)\]', *re.findall(r"const CHOICES = (.*);", (FOLDER / "options.js").read_text("utf-8"))
    )
    assert offered
    for key, names in offered:
        task, option = key.split(".")
        enum = codecs()[task].options.DESCRIPTOR.fields_by_name[option].enum_type
        assert re.findall(r"\w+", names) == [value.name for value in enum.values if value.number]
        assert {f"choice.{value.name}" for value in enum.values if value.number} <= strings("en").keys()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_nothing_is_inline_and_nothing_is_from_another_host(path: Path) -> None:
    text = path.read_text("utf-8")
    assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org"}, "a name space is no address"
    assert not re.search(r"""(src|href)=["']//""", text)
    assert not re.search(r"<[^>]*\s(on\w+|style)=", text) or path.suffix == ".js"
    assert not re.search(r"<style|<script(?![^>]*\ssrc=)|javascript:", text)
    assert not re.search(
        r"\.(innerHTML|outerHTML|insertAdjacentHTML|cssText)|\beval\(|document\.write|localStorage", text
    )
    assert "cookie" not in text or "strings" in path.parts


async def test_every_file_that_the_page_names_is_served() -> None:
    named = re.findall(r'(?:src|href)="(page/[^"]+)"', (await ask("/")).content.decode())
    modules = {f"page/{path.relative_to(FOLDER)}" for path in TEXTS if path.suffix == ".js"}
    assert modules <= set(named), "each is preloaded: one waits for no other"
    assert [name for name in named if (await ask(f"/{name}")).status != 200] == []
    for name in ("street-sign", "receipt", "tea-house"):
        assert (await ask(f"/page/examples/{name}.webp")).headers["content-type"] == "image/webp"
    assert json.loads((await ask("/page/server.json")).content) == {"grpcPort": 8500}
    assert (await ask("/page/__init__.py")).status == (await ask("/page/../app.py")).status == 404


async def test_it_is_served_with_a_strict_policy_and_kept_while_it_is_the_same() -> None:
    first = await ask("/")
    policy = first.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert first.headers["referrer-policy"] == "no-referrer"
    assert first.headers["cache-control"] == "no-cache"
    again = await ask("/", if_none_match=f'"other", W/{first.headers["etag"]}')
    assert (again.status, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == policy
    assert (await ask("/", if_none_match='"other"')).status == 200
    assert (await ask("/", "HEAD")).headers["etag"] == first.headers["etag"]


async def test_it_comes_compressed_to_whoever_takes_that() -> None:
    plain, packed = await ask("/page/page.css"), await ask("/page/page.css", accept_encoding="br, gzip;q=0.8")
    assert gzip.decompress(packed.content) == plain.content
    assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("gzip", "accept-encoding")
    assert "content-encoding" not in plain.headers | (await ask("/page/page.css", accept_encoding="gzip;q=0")).headers
    assert packed.headers["etag"] != plain.headers["etag"]
    assert (await ask("/page/page.css", accept_encoding="gzip", if_none_match=packed.headers["etag"])).status == 304


async def test_it_is_small() -> None:
    named = {path.relative_to(FOLDER) for path in TEXTS} | {
        path.relative_to(FOLDER) for path in FOLDER.rglob("*-small.webp")
    }
    paths = ["/" if f"{name}" == "index.html" else f"/page/{name}" for name in named]
    assert sum([len((await ask(path, accept_encoding="gzip")).content) for path in paths]) < 60_000


def test_its_examples_are_those_that_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["page_examples.py", str(tmp_path)])
    runpy.run_path(str(ROOT / "examples" / "page_examples.py"), run_name="__main__")
    drawn = {path.name: np.asarray(Image.open(path).convert("RGB"), np.int16) for path in tmp_path.iterdir()}
    kept = {
        path.name: np.asarray(Image.open(path).convert("RGB"), np.int16) for path in (FOLDER / "examples").iterdir()
    }
    assert drawn.keys() == kept.keys()
    for name, picture in drawn.items():
        assert picture.shape == kept[name].shape
        assert np.abs(picture - kept[name]).mean() < 2, name
