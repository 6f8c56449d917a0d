# SPDX-License-Identifier: Apache-2.0
"""What the fuzzer runs: each target takes any bytes, and raises if anything but our declared errors comes out.

The seeds are made by code, and each is what a target reads well.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

import made_captioner
import made_pictures as made
import numpy as np
from fake_triton import locked
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from heic import heic
from imagier.v1 import annotator_pb2, caption_pb2, tags_pb2, text_pb2
from imagier_client import codec as client_codec
from imagier_client import errors as client_errors
from imagier_client import jsonl, matching
from imagier_server.admission.limits import Limits
from imagier_server.decode import decoder, worker
from imagier_server.decode.formats import Format, sniff
from imagier_server.decode.process import DecoderProcess, DecoderUnavailableError
from imagier_server.engines import addresses
from imagier_server.errors import Code, ImagierError, InternalError, InvalidImageError, ModelUnavailableError
from imagier_server.messages import Lane, ModelReference, Picture, Tensors
from imagier_server.metrics import Metrics
from imagier_server.model_lock import LOCK_NAME, ModelLockError, read_lock, write_lock_text
from imagier_server.pipeline import Pipeline
from imagier_server.settings import Settings
from imagier_server.tasks import registry
from imagier_server.transport.codec import from_request, to_keywords_response, to_response
from imagier_server.transport.status import to_status
from imagier_server.triton import read_outputs
from PIL import Image
from pydantic import ValidationError
from pydantic_settings import CliSettingsSource, SettingsError
from tritonclient.grpc import service_pb2

TAGGER_ASSETS = Path(__file__).parents[2] / "model_repository" / "tagger" / "assets"
CHARSET = ("a", "b", "人", " ", "-")
CAPS = decoder.Caps(pixels=250_000, side=5_000)


class Wire:
    """The worker's end of its socket: one picture, the scale when it is asked for, and the end."""

    def __init__(self, fmt: Format, image: bytes, scale: float) -> None:
        self.messages = [fmt.value.encode(), image]
        self.scale = worker.SCALE.pack(scale)
        self.answers: list[bytes] = []

    def recv_bytes(self) -> bytes:
        if not self.messages:
            raise EOFError
        return self.messages.pop(0)

    def send_bytes(self, answer: bytes) -> None:
        self.answers.append(answer)
        if answer[:1] == worker.HEADER and len(self.answers) == 1:
            self.messages.append(self.scale)


def picture(data: bytes) -> None:
    """A picture file: the worker's answers are a size and as many pixels as it asks for, or one refusal."""
    _codecs()
    try:
        fmt = sniff(data)
    except InvalidImageError as error:
        assert error.field == "image"
        return
    wire = Wire(fmt, data, (len(data) % 16 + 1) / 16)
    with suppress(EOFError):
        worker.serve(wire, CAPS)
    if len(wire.answers) < 3:
        *_, refusal = wire.answers
        assert refusal[:1] in {worker.REFUSED, worker.TOO_LARGE, worker.BROKEN}
        assert refusal[1:].isascii()
        return
    header, pixels, last = wire.answers
    assert (header[:1], pixels[:1]) == (worker.HEADER, worker.PIXELS)
    width, height = worker.SIZE.unpack(header[1:])
    columns, rows = worker.SIZE.unpack(pixels[1:])
    assert 1 <= columns <= width <= CAPS.side
    assert 1 <= rows <= height <= CAPS.side
    assert width * height <= CAPS.pixels
    assert len(last) == columns * rows * 3


@cache
def _codecs() -> None:
    decoder.load_codecs()


def pictures() -> Iterator[bytes]:
    small = made.quadrants(32, 16)
    for fmt in Format:
        if fmt is not Format.HEIC:
            yield made.encoded(small, fmt.value.removeprefix("image/"), exif=made.orientation(6))
    yield heic(made.quadrants(64, 32), 1)
    yield made.encoded(small, "JPEG", progressive=True, icc_profile=made.adobe_rgb())
    yield made.ycck(made.RED, (16, 16))
    yield made.encoded(small.convert("L"), icc_profile=made.linear_grey())
    for mode in ("1", "LA", "P", "RGBA", "I;16"):
        yield made.encoded(Image.new("I;16", (8, 8)) if mode == "I;16" else small.convert(mode))
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg", "group4"):
        page = small.convert("1") if compression == "group4" else small
        yield made.encoded(page, "TIFF", compression=compression, save_all=True, append_images=[page])
    yield made.encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")
    for bomb in made.exif_bombs().values():
        if len(bomb) < 1000:
            yield made.encoded(small, exif=bomb)
    yield made.text_bomb(b"zTXt", 1 << 20)
    for fmt in ("GIF", "WEBP", "AVIF", "MPO", "PNG"):
        yield made.encoded(small, fmt, save_all=True, append_images=[small.transpose(Image.Transpose.ROTATE_180)])


class TakenOver(DecoderProcess):
    """A decoder that says what a picture told it, whatever it is asked, and ends."""

    pid = os.getpid()

    def __init__(self, said: bytes) -> None:
        self._caps = CAPS
        self._confinement = None
        self._said = io.BytesIO(said)

    def _send(self, message: bytes) -> None:
        del message

    def _read(self, size: int) -> memoryview:
        data = self._said.read(size)
        if len(data) < size:
            raise EOFError
        return memoryview(bytearray(data))

    def _killed(self) -> bool:
        return False


def frames(data: bytes) -> None:
    """What a decoder says, from its greeting on: a picture as it announced, or one of our errors."""
    try:
        found = TakenOver(data).decode(b"picture", Format.PNG, lambda *_: 0.5, 60.0)
    except (InvalidImageError, DecoderUnavailableError) as error:
        assert len(error.text) <= 256
        return
    rows, columns, _ = found.pixels.shape
    assert 1 <= columns <= found.width <= CAPS.side
    assert 1 <= rows <= found.height <= CAPS.side
    assert found.width * found.height <= CAPS.pixels


def conversations() -> Iterator[bytes]:
    def framed(*messages: bytes) -> bytes:
        return b"".join(struct.pack("!i", len(message)) + message for message in messages)

    greeting, header = worker.CONFINEMENT.pack(1, True), worker.HEADER + worker.SIZE.pack(8, 4)
    yield framed(greeting, header, worker.PIXELS + worker.SIZE.pack(4, 2), bytes(24))
    yield framed(greeting, header, worker.BROKEN)
    yield framed(greeting, worker.REFUSED + b"no numbers")
    yield framed(greeting, worker.TOO_LARGE + b"too large")


class Engine:
    """Answers each model with what `answers` makes of its name and the shape of its input."""

    def __init__(self) -> None:
        self.answers: Callable[[str, tuple[int, ...]], Tensors] = well_formed

    async def infer(self, model: str, inputs: Tensors, *, lane: Lane, seconds: float) -> Tensors:
        return self.answers(model, inputs["pixels"].shape)


class Decoder:
    """Every picture is small and grey."""

    async def decode(self, image: bytes, scale: Callable[[int, int], float], lane: Lane) -> Picture:
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
        self.pipeline = Pipeline(
            tasks=tasks,
            models={role: ModelReference(role, "1") for task in tasks.values() for role in task.models},
            limits=Limits(64, 1 << 30, 1 << 20, Metrics()),
            decoder=Decoder(),
            engine=self.engine,
            threads=ThreadPoolExecutor(1),
            metrics=Metrics(),
            deadline_seconds=600.0,
            stream_in_flight=1,
            keywords=registry.keywords(tasks),
        )

    def annotate(self, message: annotator_pb2.AnnotateRequest) -> annotator_pb2.AnnotateResponse:
        annotation = self.runner.run(self.pipeline.annotate(from_request(message), Lane.BULK))
        return annotator_pb2.AnnotateResponse.FromString(to_response(annotation).SerializeToString())


server = cache(Server)


def request(data: bytes) -> None:
    """The bytes of a request: answered, or refused as invalid."""
    try:
        message = annotator_pb2.AnnotateRequest.FromString(data)
    except DecodeError:
        return
    server().engine.answers = well_formed
    try:
        response = server().annotate(message)
    except ImagierError as error:
        assert error.code is Code.INVALID
        assert error.field or not message.HasField("tags")
        assert len(to_status(error).SerializeToString()) < 1000
        return
    for task in ("tags", "text"):
        assert response.HasField(task) == message.HasField(task)
        assert getattr(response, task).status.code == 0
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
    whole.text.CopyFrom(text_pb2.TextOptions(min_confidence=0.5, words=True))
    whole.caption.CopyFrom(caption_pb2.CaptionOptions(max_words=9, candidates=3, min_score=0.5, gender_neutral=True))
    yield whole.SerializeToString()
    whole.languages.append("en")
    yield whole.SerializeToString()
    yield annotator_pb2.AnnotateRequest(tags=tags_pb2.TagsOptions(min_score=float("nan"))).SerializeToString()
    yield annotator_pb2.AnnotateRequest(text=text_pb2.TextOptions(min_confidence=-1)).SerializeToString()


def answer(data: bytes) -> None:
    """What Triton answers: of the right shapes, whatever its probabilities, it is read; of others, the task alone fails as ours."""
    head, noise = data[:1], data[1:] or b"\0"
    message = annotator_pb2.AnnotateRequest(image=b"x", tags=tags_pb2.TagsOptions(max_tags=50, min_score=0.0))
    message.text.CopyFrom(text_pb2.TextOptions(min_confidence=0.0, words=True))
    message.caption.CopyFrom(caption_pb2.CaptionOptions(max_words=4, candidates=5, gender_neutral=True))
    if head < b"\x80":
        server().engine.answers = lambda model, shape: well_formed(model, shape, noise)
        response = server().annotate(message)
        assert (response.tags.status.code, response.text.status.code, response.caption.status.code) == (0, 0, 0)
        assert all(0 <= caption.score <= 1 for caption in response.caption.captions)
        assert all(len(caption.text.split()) <= 4 for caption in response.caption.captions)
        scores = [tag.score for tag in response.tags.tags] + [line.confidence for line in response.text.lines]
        assert all(0 <= score <= 1.000001 for score in scores), scores
        for line in response.text.lines:
            assert all(np.isfinite((point.x, point.y)).all() for point in line.polygon)
        return

    def parsed(model: str, shape: tuple[int, ...]) -> Tensors:
        try:
            return read_outputs(service_pb2.ModelInferResponse.FromString(noise))
        except DecodeError:
            raise ModelUnavailableError("not a message") from None

    server().engine.answers = parsed
    response = server().annotate(message)
    for result in (response.tags, response.text, response.caption):
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


def keywords(data: bytes) -> None:
    """A library's keywords, a line each; the first says in which languages they are written, and are answered.

    The command reads the same bytes as a file.
    """
    file = _scratch() / "keywords.txt"
    file.write_bytes(data)
    assert all(keyword.strip() for keyword in matching.read(str(file)))
    languages, *words = data.decode("utf-8", "replace").split("\n")
    wanted, _, written = languages.partition(";")
    pipeline = server().pipeline
    try:
        found = server().runner.run(pipeline.match_keywords(words, wanted.split(","), written.split(",")))
    except ImagierError as error:
        assert error.code is Code.INVALID
        assert error.field
        return
    assert [match.keyword for match in to_keywords_response(found).matches] == words


def words() -> Iterator[bytes]:
    yield "en,fr,zh;en\nCat\nAnimals|Dogs\nNature/Birds>Crane\nœuf\n猫咪\n貓\nTiere\\Hund".encode()
    yield b"tlh\nn02123045\nstreet-sign\nSTREET_SIGNS"


def settings(data: bytes) -> None:
    """Flags of `imagier serve`, and models.lock."""
    text = data.decode("utf-8", "replace")
    arguments = [f"--{line}" for line in text.replace("\0", "").split("\n") if not line.startswith("h")]
    with suppress(ValidationError, SettingsError, SystemExit), open(os.devnull, "w") as nowhere:  # noqa: PTH123
        from contextlib import redirect_stderr, redirect_stdout

        with redirect_stdout(nowhere), redirect_stderr(nowhere):
            accepted = Settings(_cli_settings_source=CliSettingsSource(Settings, cli_parse_args=arguments))
            if accepted.engine != "embedded":
                assert all(target.host for target in addresses.parse(accepted.engine))
    path = _scratch() / LOCK_NAME
    path.write_bytes(data)
    with suppress(ModelLockError):
        for role, model in read_lock(path.parent).items():
            assert role == model.role


@cache
def _scratch() -> Path:
    return Path(tempfile.mkdtemp())


def knobs() -> Iterator[bytes]:
    yield b"engine=a:1,dns:///b.c:2,[::1]:3"
    yield b"port=1\nengine=host:1\ndecode-seconds=1e3\nmax-image-bytes=4096\nno-exit-with-parent"
    row = {"brand": "b", "version": "1", "source": "s", "source_digest": "d", "recipe": 1, "licence": "MIT"}
    row |= {
        "research_only": False,
        "languages": ["en"],
        "files": {"a": {"sha256": "0", "size": 1}},
        "tools": {"t": "1"},
    }
    yield json.dumps({"models": {"tagger": row}}).encode()
    yield b"[" * 100 + b"]" * 100


def reply(data: bytes) -> None:
    """What a server says to our client: a reply, or the details of an error."""
    with suppress(DecodeError):
        message = annotator_pb2.AnnotateResponse.FromString(data)
        annotation = client_codec.decode_annotation(message, ("fr", "en"))
        line = json.loads(jsonl.to_line(Path("a.jpg"), annotation))
        assert set(line) <= {"path", "response", "error"}
    head, _, rest = data.partition(b"\n")
    with suppress(DecodeError):
        status = status_pb2.Status.FromString(rest)
        error = client_errors.from_status(status, head.decode("latin-1") or None)
        assert isinstance(error, client_errors.ImagierClientError)
        json.loads(jsonl.to_line(Path("a.jpg"), error))


def replies() -> Iterator[bytes]:
    message = annotator_pb2.AnnotateRequest(image=b"x", languages=["fr"], tags=tags_pb2.TagsOptions(min_score=0.0))
    message.text.words = True
    server().engine.answers = lambda model, shape: well_formed(model, shape, bytes(range(0, 256, 5)))
    yield server().annotate(message).SerializeToString()
    for error in (InvalidImageError("broken"), ModelUnavailableError("not ready")):
        yield b"1500\n" + to_status(error).SerializeToString()


TARGETS: Mapping[str, tuple[Callable[[bytes], None], Callable[[], Iterator[bytes]]]] = {
    "picture": (picture, pictures),
    "decoder": (frames, conversations),
    "request": (request, requests),
    "answer": (answer, answers),
    "keywords": (keywords, words),
    "settings": (settings, knobs),
    "reply": (reply, replies),
}
