# SPDX-License-Identifier: Apache-2.0
"""What the gateway counts is what was sent, and what Triton counts itself."""

from __future__ import annotations

import re

import grpc
import pytest
from imagier.v1 import annotator_pb2, annotator_pb2_grpc, ocr_pb2, tags_pb2
from support.real_server import Server, samples

Stub = annotator_pb2_grpc.AnnotatorServiceStub


def counts(server: Server) -> dict[str, float]:
    """Ours, and Triton's by the same names: requests answered, and rows in them, by model."""
    told = samples(server.triton_metrics)
    told = {re.sub(',?version="[^"]*"', "", line): value for line, value in told.items()}
    return samples(f"127.0.0.1:{server.metrics_port}") | {
        line.replace("nv_inference_request_success", "requests").replace("nv_inference_count", "rows"): value
        for line, value in told.items()
    }


def test_pictures_are_counted_once_by_everybody(server: Server, stub: Stub, photographs: dict[str, bytes]) -> None:
    before = counts(server)
    request = annotator_pb2.AnnotateRequest(
        image=photographs["page"], tags=tags_pb2.TagsOptions(), ocr=ocr_pb2.OcrOptions()
    )
    assert stub.Annotate(request).cost == 2
    with pytest.raises(grpc.RpcError):
        stub.Annotate(annotator_pb2.AnnotateRequest(image=photographs["page"][:5000], ocr=ocr_pb2.OcrOptions()))
    after = counts(server)
    assert before.keys() <= after.keys()
    moved = {line: value - before.get(line, 0) for line, value in after.items()}

    assert moved['imagier_requests_total{code="ok",lane="interactive",transport="grpc"}'] == 1
    assert moved['imagier_requests_total{code="invalid",lane="interactive",transport="grpc"}'] == 1
    assert (
        moved['imagier_tasks_total{code="ok",task="ocr"}'] == moved['imagier_tasks_total{code="ok",task="tags"}'] == 1
    )
    assert moved['imagier_task_failures_total{reason="INVALID_IMAGE",task="ocr"}'] == 1
    assert moved['imagier_decoder_failures_total{format="image/png",reason="INVALID_IMAGE"}'] == 1
    assert moved['imagier_image_pixels_sum{format="image/png"}'] == 191 * 384
    rows = re.compile(r'imagier_engine_request_rows_sum{model="(\w+)"}')
    models = [found[1] for line, value in moved.items() if value and (found := rows.fullmatch(line))]
    assert {"tagger", "text_detector", "text_recognizer"} <= set(models)
    for model in models:
        asked = moved[f'imagier_engine_requests_total{{code="ok",model="{model}"}}']
        probes = moved[f'imagier_model_probes_total{{model="{model}",outcome="ok"}}']  # of one row
        assert asked + probes == moved[f'requests{{model="{model}"}}'] > 0
        rows_sent = moved[f'imagier_engine_request_rows_sum{{model="{model}"}}']
        assert rows_sent + probes == moved[f'rows{{model="{model}"}}'] >= asked
    attempts = [value for line, value in moved.items() if re.match(r"imagier_engine_attempts_total.*ok", line)]
    assert sum(attempts) == sum(
        moved[f'imagier_engine_requests_total{{code="ok",model="{model}"}}'] for model in models
    )
    timed = re.compile('imagier_cpu_seconds_total{.*task="(|tags|ocr)"}')
    spent = [value for line, value in moved.items() if timed.match(line)]
    assert len(spent) == 5
    assert min(spent) > 0
