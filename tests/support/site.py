# SPDX-License-Identifier: Apache-2.0
"""A gateway with its page, before a Triton that finds text where a picture is red or blue; it can be stopped and started again."""

from __future__ import annotations

import asyncio
import io
import subprocess
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageDraw

from support.fake_triton import FakeTriton, never, response, serving
from support.running_gateway import picture
from support.scripted_models import scripted_triton, write_repository
from support.served_gateway import served

T = TypeVar("T")

SIZE = (800, 600)
RED, BLUE = "bonjour le monde entier", "quai voltaire numero 12"
RED_BOX = (90, 70, 450, 118)  # left, top, right, bottom
BLUE_BOX = (300, 330, 700, 384)
BLUE_TURN = -15  # degrees, about its middle: it rises to the right
_CHARSET = [*sorted(set(RED + BLUE) - {" "}), " "]
MAX_BYTES = 2_000_000
FLAGS = ("--max-image-bytes", str(MAX_BYTES), "--in-flight", "1")
PATIENCE = 60


def scene(size: tuple[int, int] = SIZE) -> Image.Image:
    """Shades with two lines of "text": a red one, and a blue one that rises to the right."""
    image = Image.open(io.BytesIO(picture("PNG", SIZE))).convert("L").convert("RGB")
    ImageDraw.Draw(image).rectangle(RED_BOX, (200, 20, 20))
    layer = Image.new("L", SIZE)
    ImageDraw.Draw(layer).rectangle(BLUE_BOX, 255)
    middle = ((BLUE_BOX[0] + BLUE_BOX[2]) / 2, (BLUE_BOX[1] + BLUE_BOX[3]) / 2)
    layer = layer.rotate(-BLUE_TURN, Image.Resampling.BICUBIC, center=middle)
    image.paste((20, 20, 200), mask=layer)
    return image.resize(size)


def file_of(image: Image.Image, fmt: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, fmt, **options)
    return file.getvalue()


def reading_triton() -> FakeTriton:
    """A scripted Triton that also reads: what is red says RED, what is blue says BLUE."""
    fake = scripted_triton()

    async def detect(request: Any, context: Any) -> Any:
        pixels = _pixels(request).astype(np.int16)
        return response(probability=((np.ptp(pixels, axis=3) > 100) * 255).astype(np.uint8))

    async def orient(request: Any, context: Any) -> Any:
        return response(upside_down=np.zeros((len(_pixels(request)), 1), np.float32))

    async def recognise(request: Any, context: Any) -> Any:
        pixels = _pixels(request)
        columns = pixels.shape[2] // 8
        ids, sure = np.zeros((len(pixels), columns), np.int32), np.full((len(pixels), columns), 0.99, np.float32)
        for row, line in enumerate(pixels.astype(np.float32)):
            red, _, blue = line.mean((0, 1))
            text = RED if red > blue else BLUE
            # The line fills the row's beginning; what follows is padding, of one shade.
            width = max(2 * len(text), int((np.ptp(line, axis=2).mean(0) > 50).sum() / 8))
            places = np.linspace(0, min(width, columns) - 1, len(text)).astype(int)
            ids[row, places] = [_CHARSET.index(letter) + 1 for letter in text]
        return response(token_ids=ids, confidences=sure)

    fake.behaviours |= {"text_detector": detect, "text_line_orienter": orient, "text_recognizer": recognise}
    return fake


def reading_repository(folder: Path) -> Path:
    """The repository of what `reading_triton` answers for."""
    repository = write_repository(folder)
    (repository / "text_recognizer" / "assets" / "charset.txt").write_text("\n".join(_CHARSET) + "\n", "utf-8")
    return repository


def _pixels(request: Any) -> np.ndarray:
    (tensor,) = request.inputs
    return np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(tuple(tensor.shape))


@dataclass(frozen=True)
class Held:
    """What happens to a tagger that does not answer: it is asked, and its work is ended."""

    asked: Event = field(default_factory=Event)
    ended: Event = field(default_factory=Event)

    async def behaviour(self, request: Any, context: Any) -> Any:
        self.asked.set()
        try:
            await never(request, context)
        finally:
            self.ended.set()


class Site:
    """The gateway, at one address for all of its lives."""

    def __init__(
        self, run: Any, repository: Path, log: Path, engine_port: int, ports: tuple[int, int], fake: FakeTriton
    ) -> None:
        self._grpc, self._http = ports
        self.address = f"http://127.0.0.1:{self._http}/"
        self.fake = fake
        self._run, self._repository, self._log, self._engine_port = run, repository, log, engine_port
        self._life = AsyncExitStack()

    def start(self, *flags: str) -> None:
        every = ["--port", str(self._grpc), "--http", "--http-port", str(self._http), *FLAGS, *flags]
        self._run(self._life.enter_async_context(served(self._repository, self._engine_port, self._log, every)))

    @contextmanager
    def held(self) -> Iterator[Held]:
        """Within, the tagger answers nobody."""
        answering, held = self.fake.behaviours["tagger"], Held()
        self.fake.behaviours["tagger"] = held.behaviour
        try:
            yield held
        finally:
            self.fake.behaviours["tagger"] = answering

    def annotate(self, image: bytes) -> subprocess.Popen[bytes]:
        """Somebody else's call, in the background."""
        call = [
            "curl",
            "-s",
            f"{self.address}v1/annotate?tasks=tags",
            "-H",
            "content-type: image/png",
            "--data-binary",
            "@-",
        ]
        process = subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert process.stdin
        process.stdin.write(image)
        process.stdin.close()
        return process

    def stop(self) -> None:
        self._run(self._life.aclose())


@contextmanager
def site(folder: Path, ports: tuple[int, int]) -> Iterator[Site]:
    """Runs both in an event loop of their own, so that tests may wait for a browser. `ports` for gRPC and HTTP."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE)

    repository = reading_repository(folder / "models")
    fake = reading_triton()
    triton = serving(fake)
    engine_port = run(triton.__aenter__())
    made = Site(run, repository, folder / "gateway.log", engine_port, ports, fake)
    try:
        yield made
    finally:
        made.stop()
        run(triton.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
