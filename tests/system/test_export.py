# SPDX-License-Identifier: Apache-2.0
"""All models, exported into a fresh repository: the same bytes as before, and real Triton serves them as ONNX Runtime runs them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from imagier_server import embedded, export
from imagier_server.embedded import EmbeddedTriton
from imagier_server.export import State
from imagier_server.export.onnx_runtime import onnxruntime
from imagier_server.model_lock import LOCK_NAME, read_lock, verify_files
from tritonclient.grpc import InferInput
from tritonclient.grpc import aio as triton

CONFIGS = Path(__file__).parents[2] / "model_repository"
OURS = ("captioner/source", "tagger/assets")
"""What the repository has of its own, and no package."""
RNG = np.random.default_rng(0)

# The detector warms up sixteen canvases; the repository's own is started whole by the other tests of this folder.
SERVED = {
    "tagger": (3, 260, 260, 3),
    "text_line_orienter": (5, 48, 192, 3),
    "captioner": (3, 224, 224, 3),
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("models") / "repository"
    for role in export.CATALOGUE:
        (repository / role).mkdir(parents=True)
        shutil.copy(CONFIGS / role / "config.pbtxt", repository / role)
    for ours in OURS:
        shutil.copytree(CONFIGS / ours, repository / ours)
    assert set(export.install_models(repository, accept_research_only=True).values()) == {State.MISSING}
    return repository


def files(repository: Path) -> dict[str, bytes]:
    return {
        path.relative_to(repository).as_posix(): path.read_bytes() for path in repository.rglob("*") if path.is_file()
    }


def test_every_model_is_installed_as_the_record_says(repository):
    assert {standing.state for standing in export.status(repository).values()} == {State.CURRENT}
    assert verify_files(repository) == dict.fromkeys(export.CATALOGUE, ())
    recorded = {path for model in read_lock(repository).values() for path in model.files}
    configs = {f"{role}/config.pbtxt" for role in export.CATALOGUE}
    assert {path for path in files(repository) if not path.startswith(OURS)} == recorded | configs | {LOCK_NAME}


def test_another_export_makes_the_same_bytes(repository):
    # The other is `make models`'.
    for model in read_lock(repository).values():
        for path in model.files:
            assert (CONFIGS / path).read_bytes() == (repository / path).read_bytes(), path


def test_the_command_finds_nothing_to_do(repository):
    command = [
        Path(sys.executable).with_name("imagier"),
        "models",
        "install",
        "--accept",
        "research-only",
        "--repository",
        repository,
    ]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = [line for line in answer.stdout.splitlines() if "NOTICE" not in line]
    assert lines == [f"{role}: current" for role in export.CATALOGUE]


@pytest.mark.parametrize(
    ("role", "shape"),
    [("text_detector", (3, 32, 160, 3)), ("text_recognizer", (3, 48, 160, 3)), ("text_recognizer", (2, 48, 640, 3))],
)
def test_a_row_of_a_batch_reads_as_if_it_were_alone(repository, role, shape):
    session = session_of(repository, role)
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8)
    batch = session.run(None, {"pixels": pixels})
    alone = [
        np.concatenate(rows) for rows in zip(*(session.run(None, {"pixels": row[None]}) for row in pixels), strict=True)
    ]
    for together, each in zip(batch, alone, strict=True):
        if together.dtype == np.int32:  # noise is mostly blank; near ties may fall to either side
            assert (together == each).mean() > 0.95
        else:  # a level of the map, a digit of a confidence
            np.testing.assert_allclose(together.astype(float), each, atol=1 if together.dtype == np.uint8 else 1e-2)


async def test_triton_answers_what_onnx_runtime_answers(repository, tmp_path):
    async with embedded.start(repository, tmp_path, list(SERVED)) as engine:
        for role, shape in SERVED.items():
            pixels = RNG.integers(0, 256, shape, dtype=np.uint8)
            expected = session_of(repository, role).run(None, {"pixels": pixels})
            answers, parameters = await ask(engine, role, pixels)
            *results, _ = answers  # and the request's id
            for answer, wanted in zip(results, expected, strict=True):
                np.testing.assert_allclose(answer, wanted, atol=0 if wanted.dtype == np.int32 else 1e-5)
            locked = read_lock(repository)[role]
            assert parameters["model_digest"] == locked.source_digest
            assert parameters["export_recipe"] == str(locked.recipe)


async def ask(engine: EmbeddedTriton, role: str, pixels: np.ndarray) -> tuple[list[np.ndarray], dict[str, str]]:
    async with triton.InferenceServerClient(engine.grpc_address) as client:
        given = InferInput("pixels", pixels.shape, "UINT8")
        given.set_data_from_numpy(pixels)
        answer = await client.infer(role, [given])
        config = (await client.get_model_config(role)).config
        parameters = {name: value.string_value for name, value in config.parameters.items()}
        return [answer.as_numpy(output.name) for output in config.output], parameters


def session_of(repository: Path, role: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(repository / role / "1/model.onnx", providers=["CPUExecutionProvider"])
