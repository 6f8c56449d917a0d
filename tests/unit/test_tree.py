# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that a linter does not know, checked over every file that git has or would take."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cache
from pathlib import Path

import pytest
from imagier_server import messages

ROOT = Path(__file__).parents[2]
ROOTS = {"imagier_server": ROOT / "server", "imagier_client": ROOT / "clients/python"}

# A file of these kinds says its licence in its first line, or in its second after `#!`.
SOURCE_SUFFIXES = {".js", ".py", ".proto", ".sh", ".yaml", ".yml", ".pbtxt"}
SOURCE_NAMES = {"Makefile", "Dockerfile", "run"}

# Vendored with its own licence header.
VENDORED = ROOT / "protos/google"

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "main", "misc", "core"}

# What lies at the root; anything else there was left behind.
ROOT_NAMES = {
    ".ci", ".dockerignore", ".github", ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE",
    "Makefile", "NOTICE", "README.md", "SECURITY.md", "benchmarks", "clients", "deploy", "docs", "examples", "mkdocs.yml",
    "model_repository", "protos", "pyproject.toml", "server", "tests", "training",
}  # fmt: skip

# Modules without a unit test of their own, each with the test that proves it. Strike out what gets one.
PROVED_BY = {
    "imagier_client/tasks/flags.py": "unit/imagier_client/cli/test_task_options.py",
    "imagier_client/arguments.py": "integration/test_client_misuse.py",
    "imagier_client/aio_connection.py": "unit/imagier_client/test_aio.py",
    "imagier_client/blocking_stream.py": "integration/test_client_streams.py",
    "imagier_client/tasks/caption.py": "unit/imagier_client/test_codec.py",
    "imagier_client/tasks/fingerprint.py": "unit/imagier_client/test_codec.py",
    "imagier_client/tasks/ocr.py": "unit/imagier_client/test_codec.py",
    "imagier_client/tasks/shown.py": "unit/imagier_client/cli/test_table.py",
    "imagier_client/tasks/tags.py": "unit/imagier_client/test_codec.py",
    "imagier_client/tasks/task.py": "unit/imagier_client/tasks/test_registry.py",
    "imagier_server/admission/chain.py": "integration/test_quotas.py",
    "imagier_server/admission/heap.py": "unit/imagier_server/admission/test_receiving.py",
    "imagier_server/admission/quota_store.py": "system/test_quotas.py",
    "imagier_server/export/checkpoint_models.py": "system/test_checkpoints.py",
    "imagier_server/export/comparison.py": "unit/imagier_server/export/test_verify.py",
    "imagier_server/export/flickr_captioner_model.py": "unit/imagier_server/export/test_flickr_captioner.py",
    "imagier_server/export/model_row.py": "unit/imagier_server/export/test_catalogue.py",
    "imagier_server/export/ocr_models.py": "unit/imagier_server/export/test_verify.py",
    "imagier_server/export/rows/caption.py": "unit/imagier_server/export/test_catalogue.py",
    "imagier_server/export/rows/ocr.py": "unit/imagier_server/export/test_catalogue.py",
    "imagier_server/export/tagger.py": "unit/imagier_server/export/test_verify.py",
    "imagier_server/transport/codecs/caption.py": "unit/imagier_server/transport/test_codec.py",
    "imagier_server/transport/codecs/codec.py": "unit/imagier_server/transport/test_codec.py",
    "imagier_server/transport/codecs/fingerprint.py": "unit/imagier_server/transport/test_codec.py",
    "imagier_server/transport/codecs/ocr.py": "unit/imagier_server/transport/test_codec.py",
    "imagier_server/transport/codecs/registry.py": "unit/imagier_server/transport/test_codec.py",
    "imagier_server/transport/codecs/tags.py": "unit/imagier_server/transport/test_codec.py",
    "imagier_server/app.py": "integration/test_gateway.py",
    "imagier_client/cli/texts_command.py": "integration/test_embedding.py",
    "imagier_client/cli/annotating.py": "integration/command/test_answers.py",
    "imagier_server/decode/colour.py": "unit/imagier_server/decode/test_pixels_stay.py",
    "imagier_server/decode/refusals.py": "unit/imagier_server/decode/test_decoder.py",
    "imagier_server/decode/worker.py": "unit/imagier_server/decode/test_pool.py",
    "imagier_server/embedded/onnxruntime_backend/model.py": "e2e/embedded/test_inference.py",
    "imagier_server/engines/health_check.py": "unit/imagier_server/engines/pool/test_members.py",
    "imagier_server/engines/pool.py": "unit/imagier_server/engines/pool/test_retries.py",
    "imagier_server/errors.py": "unit/imagier_server/transport/test_status.py",
    "imagier_server/export/checkpoints.py": "system/test_checkpoints.py",
    "imagier_server/export/cross_decoder.py": "system/test_checkpoints.py",
    "imagier_server/export/errors.py": "unit/imagier_server/export/test_export.py",
    "imagier_server/opened_ledger.py": "integration/test_keys.py",
    "imagier_server/ledger/migrations/versions/m0001_keys_and_credits.py": "unit/imagier_server/ledger/test_accounts.py",
    "imagier_server/messages.py": "unit/test_tree.py",
    "imagier_server/steps.py": "unit/imagier_server/test_pipeline.py",
    "imagier_server/tasks/task.py": "contract/test_tasks.py",
    "imagier_server/label_training.py": "integration/test_teaching.py",
    "imagier_server/text_embedding.py": "integration/test_embedding.py",
    "imagier_server/tracing.py": "integration/test_tracing.py",
    "imagier_server/transport/grpc/server.py": "integration/test_gateway.py",
    "imagier_server/transport/grpc/service.py": "integration/test_gateway.py",
    "imagier_server/engine_choice.py": "integration/test_gateway.py",
    "imagier_server/transport/parsing.py": "unit/imagier_server/transport/grpc/test_incoming.py",
    "imagier_server/transport/grpc/account_service.py": "integration/test_accounts.py",
    "imagier_server/transport/http/accounts.py": "integration/test_accounts.py",
    "imagier_server/transport/gateway.py": "integration/http/test_people.py",
    "imagier_server/transport/http/app.py": "integration/http/test_people.py",
    "imagier_server/transport/http/bodies.py": "integration/http/test_bodies.py",
    "imagier_server/transport/http/connect.py": "integration/http/test_connect.py",
    "imagier_server/transport/http/connections.py": "integration/http/test_connections.py",
    "imagier_server/transport/http/door.py": "integration/http/test_people.py",
    "imagier_server/transport/http/facades/facade.py": "integration/http/test_facades.py",
    "imagier_server/transport/http/facades/piwigo/api.py": "integration/http/test_piwigo.py",
    "imagier_server/transport/http/fetching.py": "integration/http/test_fetching.py",
    "imagier_server/transport/http/json_schema.py": "integration/http/test_openapi.py",
    "imagier_server/transport/http/openapi.py": "integration/http/test_openapi.py",
    "imagier_server/transport/http/reference_page.py": "integration/http/test_openapi.py",
    "imagier_server/transport/http/probes.py": "integration/http/test_life.py",
    "imagier_server/transport/http/problems.py": "integration/http/test_people.py",
    "imagier_server/transport/http/server.py": "integration/http/test_life.py",
    "imagier_server/transport/http/texts.py": "integration/test_embedding.py",
    "imagier_server/transport/http/start.py": "integration/http/test_life.py",
    "imagier_server/transport/http/v1.py": "integration/http/test_people.py",
    "imagier_server/triton.py": "integration/test_triton.py",
}


@cache
def files() -> tuple[Path, ...]:
    """What git tracks, and what it would if it were added."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return tuple(sorted(path for path in paths if path.is_file()))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def python(*folders: str) -> list[Path]:
    return [path for path in files() if path.suffix == ".py" and path.relative_to(ROOT).as_posix().startswith(folders)]


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Each call by the last part of its name: `f(…)`, `a.f(…)`, `a.f[T](…)` are `f`."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            function = node.func.value if isinstance(node.func, ast.Subscript) else node.func
            if isinstance(function, ast.Name | ast.Attribute):
                yield function.id if isinstance(function, ast.Name) else function.attr, node


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield f"{node.module}"


def named(paths: Iterable[Path]) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in paths)


def test_every_source_file_says_its_licence_first() -> None:
    sources = [
        path
        for path in files()
        if (path.suffix in SOURCE_SUFFIXES or path.name in SOURCE_NAMES) and not path.is_relative_to(VENDORED)
    ]
    assert len(sources) > 50
    heads = {path: path.read_text("utf-8").split("\n", 2)[:2] for path in sources}
    line = re.compile(r"(#|//) SPDX-License-Identifier: Apache-2\.0")
    assert named(p for p, head in heads.items() if not line.fullmatch(head[head[0].startswith("#!")])) == []


def test_every_module_says_its_stage_in_few_lines() -> None:
    map_of_the_request = ROOT / "server/imagier_server/__init__.py"
    docstrings = {path: ast.get_docstring(tree(path)) for path in python("server/", "clients/", "protos/")}
    assert named(path for path, text in docstrings.items() if not text) == []
    assert named(p for p, text in docstrings.items() if text and text.count("\n") > 3 and p != map_of_the_request) == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert named(path for path in python("") if path.stem in VAGUE_NAMES) == []


def test_only_the_settings_read_the_environment() -> None:
    # process.py hands on its own environment, changed, to the Triton it starts; two write what libraries read; proxies.py says in
    # an error what gRPC has read.
    allowed = {
        "clients/python/imagier_client/proxies.py",
        "server/imagier_server/settings.py",
        "server/imagier_server/embedded/process.py",
        "server/imagier_server/embedded/onnxruntime_backend/onnxruntime_session.py",
        "server/imagier_server/no_telemetry.py",
    }
    readers = [
        path
        for path in python("server/", "clients/")
        if any(
            (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"})
            or (
                isinstance(node, ast.ImportFrom)
                and node.module == "os"
                and {"environ", "getenv"} & {n.name for n in node.names}
            )
            for node in ast.walk(tree(path))
        )
    ]
    assert set(named(readers)) <= allowed


def test_metrics_are_declared_in_one_file() -> None:
    kinds = {"Counter", "Histogram", "Gauge", "Summary", "Info", "Enum"}
    importers = [
        path
        for path in python("server/", "clients/")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom)
        and node.module == "prometheus_client"
        and kinds & {n.name for n in node.names}
    ]
    assert named(importers) == ["server/imagier_server/metrics.py"]


def test_no_queue_and_no_pool_is_without_a_bound() -> None:
    bounded = {"Queue", "LifoQueue", "PriorityQueue", "ThreadPoolExecutor", "ProcessPoolExecutor"}
    free = [
        path
        for path in python("server/", "clients/")
        for name, call in calls(path)
        if name == "SimpleQueue" or (name in bounded and not call.args and not call.keywords)
    ]
    assert named(free) == []


def test_folders_are_not_packages() -> None:
    # `import server.imagier_server` works from the checkout, and makes a second copy of every module.
    folders = {"server", "clients", "protos", "tests", "benchmarks"}
    assert named(path for path in python("") if any(name.split(".")[0] in folders for name in imported(path))) == []


def test_benchmarks_and_tests_share_what_is_in_support_and_nothing_else() -> None:
    benchmarks = {path.stem for path in python("benchmarks/")}
    assert named(path for path in python("tests/") if benchmarks & {*imported(path)}) == []
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()} - {"support"}
    assert named(path for path in python("") if folders & {name.split(".")[0] for name in imported(path)}) == []


def test_no_file_is_over_300_lines() -> None:
    assert named(path for path in python("") if len(path.read_text("utf-8").splitlines()) > 300) == []


def test_no_test_sleeps() -> None:
    # sleep(0) only lets others run.
    sleepers = [
        path
        for path in python("tests/")
        for name, call in calls(path)
        if name == "sleep" and [getattr(argument, "value", None) for argument in call.args] != [0]
    ]
    assert named(sleepers) == []


def test_git_has_no_generated_code_and_no_weights() -> None:
    # No package carries a captioner, so these are our own.
    ours = ROOT / "model_repository/captioner/source/decoder.safetensors"
    assert ours.stat().st_size <= 24_000_000
    unwanted = re.compile(r"_pb2|\.(onnx|pt|pth|safetensors|plan|engine|whl|pyc)$")
    assert named(path for path in files() if unwanted.search(path.name) and path != ours) == []
    assert named(path for path in files() if path.stat().st_size > 2_000_000 and path != ours) == []


def test_nothing_unknown_lies_at_the_root() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in files()} == ROOT_NAMES


def test_each_module_has_its_unit_test() -> None:
    modules = {}
    for package, root in ROOTS.items():
        for path in sorted((root / package).rglob("*.py")):
            inner = path.relative_to(root)
            if any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in tree(path).body):
                # A task's options and result are proved with the task.
                stem = {"__init__": inner.parent.name, "values": "task"}.get(path.stem, path.stem)
                modules[inner.as_posix()] = ROOT / "tests/unit" / inner.parent / f"test_{stem}.py"
    untested = {module for module, test in modules.items() if not test.exists()}
    assert sorted(untested - PROVED_BY.keys()) == [], (
        "write a unit test, or say in PROVED_BY what proves the module instead"
    )
    assert sorted(PROVED_BY.keys() - untested) == [], "these have a unit test now: strike them out"
    assert sorted(test for test in PROVED_BY.values() if not (ROOT / "tests" / test).exists()) == []


def values_of_a_request() -> list[type]:
    own = [
        value for value in vars(messages).values() if isinstance(value, type) and value.__module__ == messages.__name__
    ]
    return [value for value in own if not issubclass(value, Enum) and not getattr(value, "_is_protocol", False)]


@pytest.mark.parametrize("value", values_of_a_request(), ids=lambda value: value.__name__)
def test_values_of_a_request_are_frozen_and_slotted(value: type) -> None:
    assert dataclasses.is_dataclass(value)
    assert value.__dataclass_params__.frozen
    assert "__slots__" in vars(value)
