# SPDX-License-Identifier: Apache-2.0
"""What a new built-in task touches, counted for `caption`: its own files, and at most six others, each in one line.

Files that `make manifests` and `make breaking-base` write, tests and documents do not count, nor do comments and docstrings.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("server", "clients", "protos", "deploy")
TASK = "caption"
NAMES = re.compile(rf"{TASK}(?!er)|[\"']captioner[\"']", re.IGNORECASE)
"""The task by its name, in whatever case and form; the role of its model."""
OWN = (
    f"server/imagier_server/tasks/{TASK}/*",
    f"server/imagier_server/transport/codecs/{TASK}.py",
    f"server/imagier_server/export/rows/{TASK}.py",
    # How its models are converted and verified: the rows name these, and these import each other.
    "server/imagier_server/export/caption_*.py",
    "server/imagier_server/export/checkpoint*.py",
    "server/imagier_server/export/flickr_captioner*.py",
    f"clients/python/imagier_client/tasks/{TASK}.py",
    f"protos/imagier/v1/{TASK}.proto",
)
WRITTEN = (
    "deploy/prometheus/rules/objectives.yaml",
    "deploy/kubernetes/components/monitoring/*.yaml",
    "deploy/grafana/*.json",
    "protos/*.binpb",
)
TESTS = ("deploy/prometheus/tests/*",)
WORDED = ("server/imagier_server/transport/http/facades/*", "server/imagier_server/transport/http/page/*")
"""The APIs of other programs have words of their own, and the page shows each result in words and forms for people."""

TOUCHED = {
    "clients/python/imagier_client/__init__.py": "exports its values",
    "clients/python/imagier_client/tasks/registry.py": "lists it, as the typed attribute of an annotation",
    "protos/imagier/v1/annotator.proto": "a field in the request and one in the response",
    "server/imagier_server/export/catalogue.py": "lists its models",
    "server/imagier_server/tasks/registry.py": "lists it",
    "server/imagier_server/transport/codecs/registry.py": "lists its codec",
}
MOST_FILES = 6
LINES = dict.fromkeys(TOUCHED, 1) | {
    "clients/python/imagier_client/__init__.py": 0,
    "protos/imagier/v1/annotator.proto": 2,
}
"""Beside imports and lists of exported names. The contract has two messages, and a field in each."""


def code(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of everything but comments, docstrings, imports and `__all__`."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        for number, line in enumerate(text.splitlines(), 1):
            bare = re.split(r"//|#", line)[0]
            if not bare.startswith("import "):
                yield number, bare
        return
    left_out: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        names = (
            isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
        )
        if docstring or names or isinstance(node, ast.Import | ast.ImportFrom):
            left_out |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT and token.start[0] not in left_out:
            yield token.start[0], token.string


def files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=True)
    aside = (*OWN, *WRITTEN, *TESTS, *WORDED)
    return [name for name in listed.stdout.split() if not any(fnmatch(name, pattern) for pattern in aside)]


def mentions(path: Path) -> bool:
    """Whether the task is named at all outside comments and docstrings, imports included."""
    return any(NAMES.search(text) for _, text in everything(path))


def everything(path: Path) -> Iterator[tuple[int, str]]:
    yield from code(path)
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                yield node.lineno, f"{node.module} {' '.join(alias.name for alias in node.names)}"


def test_a_built_in_task_touches_six_existing_files_at_most() -> None:
    touched = {name for name in files() if mentions(ROOT / name)}
    assert touched == TOUCHED.keys()
    assert len(touched) <= MOST_FILES


def test_it_touches_each_in_one_line() -> None:
    lines = {name: {number for number, text in code(ROOT / name) if NAMES.search(text)} for name in TOUCHED}
    assert {name: len(found) for name, found in lines.items()} == LINES


def test_its_own_files_are_there() -> None:
    listed = subprocess.run(["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=True)
    for pattern in (*OWN, *WRITTEN):
        assert any(fnmatch(name, pattern) for name in listed.stdout.split()), pattern


def test_a_file_that_singles_it_out_is_found(tmp_path: Path) -> None:
    for text, found in (
        ("if name == 'caption': pass", True),
        ("from imagier_client.tasks.caption import Caption", True),
        ('row.role == "captioner"', True),
        ('"""Says captions."""  # and a caption', False),
    ):
        (tmp_path / "module.py").write_text(text, "utf-8")
        assert mentions(tmp_path / "module.py") is found
