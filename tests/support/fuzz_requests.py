# SPDX-License-Identifier: Apache-2.0
"""The fuzzer's targets that answer: a request, and what a model says to it."""

from __future__ import annotations

import asyncio
import struct
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from grpc import StatusCode
from imagier.v1 import annotator_pb2, caption_pb2, ocr_pb2, tags_pb2
from imagier_server.admission.admission import Admission, largest
from imagier_server.admission.draining import Draining
from imagier_server.admission.limits import Limits
from imagier_server.call import CallContext, Lane, Transport
from imagier_server.errors import Code, ImagierError, InternalError, ModelUnavailableError
from imagier_server.keyword_matching import KeywordMatching
from imagier_server.messages import ModelReference, Picture, Tensors
from imagier_server.metrics import Metrics
from imagier_server.model_lock import LOCK_NAME, write_lock_text
from imagier_server.pipeline import Pipeline
from imagier_server.recording import Recorder
from imagier_server.tasks import registry
from imagier_server.tasks.tags.keywords import Keywords
from imagier_server.transport.codec import from_request, to_response
from imagier_server.transport.status import to_status
from imagier_server.transport.wire import WireError, beside
from imagier_server.triton import read_outputs
from tritonclient.grpc import service_pb2

from support import made_captioner
from support.fake_triton import locked

TAGGER_ASSETS = Path(__file__).parents[2] / "model_repository" / "tagger" / "assets"
CHARSET = ("a", "b", "人", " ", "-")
CALL = CallContext(Transport.GRPC, Lane.BULK)


class Engine:
    """Answers each model with what `answers` makes of its name and the shape of its input."""

    def __init__(self) -> None:
        self.answers: Callable[[str, tuple[int, ...]], Tensors] = well_formed

    async def infer(self, model: str, inputs: Tensors, call: CallContext) -> Tensors:
        return self.answers(model, inputs["pixels"].shape)


class Decoder:
    """Every picture is small and grey."""

    async def decode(self, image: bytes, scale: Callable[[int, int], float], call: CallContext) -> Picture:
        assert 0 < scale(64, 32) <= 1
        return Picture(np.full((32, 64, 3), 128, np.uint8), 64, 32)


def well_formed(model: str, shape: tuple[int, ...], noise: bytes = b"\0") -> Tensors:
    """An answer of the right types and shapes, whose values are the noise, over and over: probabilities, or no numbers.

    The tagger's add up to 1.
    """

    def filled(dtype: type, *sides: int) -> np.ndarray:
        values = np.frombuffer(noise * (8 // len(noise) + 1), np.uint8)
        size = int(np.prod(sides))
        tensor = np.resize(values, size * np.dtype(dtype).itemsize).view(dtype).reshape(sides)
        return tensor.clip(0, 1) if dtype is np.float32 else tensor

    rows, columns = shape[0], shape[2] // 8
    if model == "tagger":
        scores = np.nan_to_num(filled(np.float32, 1, 1000)) + np.float32(1e-6)
        return {"scores": scores / scores.sum()}
    if model == "text_detector":
        return {"probability": filled(np.uint8, *shape[:3])}
    if model == "captioner":
        known = len(made_captioner.WORDS) + 4
        words = filled(np.uint8, 1, 3, made_captioner.LENGTH).astype(np.int32) % known
        return {"token_ids": words, "log_probabilities": -filled(np.float32, 1, 3)}
    if model == "text_line_orienter":
        return {"upside_down": filled(np.float32, rows, 1)}
    tokens = filled(np.uint8, rows, columns).astype(np.int32) % (len(CHARSET) + 1)
    return {"token_ids": tokens, "confidences": filled(np.float32, rows, columns)}


class Server:
    """The pipeline of a server with the real tasks, before an engine and a decoder of ours."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.engine = Engine()
        self.folder = tempfile.TemporaryDirectory()
        repository = Path(self.folder.name)
        (repository / "tagger").mkdir()
        (repository / "tagger" / "assets").symlink_to(TAGGER_ASSETS)
        (repository / "text_recognizer" / "assets").mkdir(parents=True)
        (repository / "text_recognizer" / "assets" / "charset.txt").write_text("\n".join(CHARSET) + "\n", "utf-8")
        made_captioner.write_assets(repository / "captioner" / "assets")
        (repository / LOCK_NAME).write_text(write_lock_text({"captioner": locked("captioner")}), "utf-8")
        tasks = registry.load(repository)
        draining, recorder, threads = Draining(), Recorder(Metrics()), ThreadPoolExecutor(1)
        limits = Limits(64, 1 << 30, draining, Metrics())
        admission = Admission((draining.stage, largest(1 << 20), limits.stage))
        self.keywords = KeywordMatching(Keywords.of_repository(repository), admission, recorder, threads)
        self.pipeline = Pipeline(
            tasks=tasks,
            prices={name: task.price for name, task in tasks.items()},
            models={role: ModelReference(role, "1") for task in tasks.values() for role in task.models},
            admission=admission,
            recorder=recorder,
            decoder=Decoder(),
            engine=self.engine,
            threads=threads,
            metrics=Metrics(),
            deadline_seconds=600.0,
            stream_deadline_seconds=600.0,
        )

    def annotate(self, message: annotator_pb2.AnnotateRequest) -> annotator_pb2.AnnotateResponse:
        annotation = self.runner.run(self.pipeline.annotate(from_request(message), CALL))
        return annotator_pb2.AnnotateResponse.FromString(to_response(annotation).SerializeToString())


server = cache(Server)


def request(data: bytes) -> None:
    """The bytes of a request: counted, then answered, or refused as invalid."""
    with suppress(WireError):
        assert 0 <= beside(data, (1,), 0) <= len(data)
    try:
        message = annotator_pb2.AnnotateRequest.FromString(data)
    except DecodeError:
        return
    server().engine.answers = well_formed
    try:
        response = server().annotate(message)
    except ImagierError as error:
        unsigned = message.HasField("processing_receipt") and error.code is Code.UNSUPPORTED  # for want of a key
        assert error.code is Code.INVALID or unsigned
        assert error.field or not message.HasField("tags")
        assert len(to_status(error).SerializeToString()) < 1000
        return
    for task in ("tags", "ocr"):
        assert response.HasField(task) == message.HasField(task)
    assert response.ocr.status.code == 0
    # This server has no embedders, which the caller's own labels need.
    own_labels = message.tags.candidates or message.tags.taught
    assert response.tags.status.code == (StatusCode.UNIMPLEMENTED.value[0] if own_labels else 0)
    assert response.HasField("caption") == message.HasField("caption")
    if response.caption.status.code:
        assert response.caption.status.details, "languages that it does not speak"
    else:
        assert all(caption.text.endswith((".", "!", "?")) for caption in response.caption.captions)
    assert response.request_id == message.request_id


def requests() -> Iterator[bytes]:
    options = tags_pb2.TagsOptions(
        max_tags=3, min_score=0.1, allow=["cat", "animal"], deny=["dog"], existing_tags=["Chat", "猫", "a|b"]
    )
    whole = annotator_pb2.AnnotateRequest(
        image=b"picture", languages=["fr", "zh-Hans", "tlh"], request_id="1", tags=options
    )
    whole.ocr.CopyFrom(ocr_pb2.OcrOptions(min_confidence=0.5, words=True))
    whole.caption.CopyFrom(
        caption_pb2.CaptionOptions(max_words=9, candidates=3, min_score=0.5, gender_neutral=True, include_guesses=True)
    )
    yield whole.SerializeToString()
    whole.languages.append("en")
    yield whole.SerializeToString()
    whole.tags.candidates.add(label="loom", prompts=["a photograph of a loom", "un métier à tisser"])
    whole.tags.taught.append(b"a label")
    yield whole.SerializeToString()
    whole.processing_receipt.nonce = b"n" * 16
    yield whole.SerializeToString()
    yield annotator_pb2.AnnotateRequest(tags=tags_pb2.TagsOptions(min_score=float("nan"))).SerializeToString()
    yield annotator_pb2.AnnotateRequest(ocr=ocr_pb2.OcrOptions(min_confidence=-1)).SerializeToString()


def answer(data: bytes) -> None:
    """What Triton answers: of the right shapes, whatever its probabilities, it is read; of others, the task alone fails as ours."""
    head, noise = data[:1], data[1:] or b"\0"
    message = annotator_pb2.AnnotateRequest(image=b"x", tags=tags_pb2.TagsOptions(max_tags=50, min_score=0.0))
    message.ocr.CopyFrom(ocr_pb2.OcrOptions(min_confidence=0.0, words=True))
    message.caption.CopyFrom(
        caption_pb2.CaptionOptions(max_words=4, candidates=5, gender_neutral=True, include_guesses=True)
    )
    if head < b"\x80":
        server().engine.answers = lambda model, shape: well_formed(model, shape, noise)
        response = server().annotate(message)
        assert (response.tags.status.code, response.ocr.status.code, response.caption.status.code) == (0, 0, 0)
        assert all(0 <= caption.score <= 1 for caption in response.caption.captions)
        assert all(len(caption.text.split()) <= 4 for caption in response.caption.captions)
        scores = [tag.score for tag in response.tags.tags] + [line.confidence for line in response.ocr.lines]
        assert all(0 <= score <= 1.000001 for score in scores), scores
        for line in response.ocr.lines:
            assert all(np.isfinite((point.x, point.y)).all() for point in line.polygon)
        return

    def parsed(model: str, shape: tuple[int, ...]) -> Tensors:
        try:
            return read_outputs(service_pb2.ModelInferResponse.FromString(noise))
        except DecodeError:
            raise ModelUnavailableError("not a message") from None

    server().engine.answers = parsed
    response = server().annotate(message)
    for result in (response.tags, response.ocr, response.caption):
        assert result.status.message in {"", InternalError().text, "not a message"}


def answers() -> Iterator[bytes]:
    yield b"\0" + bytes(range(256))
    yield b"\0" + b"\xff" * 100 + b"\0" * 1000
    yield b"\0" + np.linspace(0, 1, 100, dtype=np.float32).tobytes()
    yield b"\0" + struct.pack("=ff", float("nan"), float("inf"))
    shapes = {"tagger": (1, 260, 260, 3), "text_detector": (1, 32, 32, 3), "text_recognizer": (2, 48, 160, 3)}
    for model, shape in shapes.items():
        message = service_pb2.ModelInferResponse(model_name=model)
        for name, tensor in well_formed(model, shape).items():
            kind = {"float32": "FP32", "uint8": "UINT8", "int32": "INT32"}[tensor.dtype.name]
            message.outputs.add(name=name, datatype=kind, shape=tensor.shape)
            message.raw_output_contents.append(tensor.tobytes())
        yield b"\xff" + message.SerializeToString()
