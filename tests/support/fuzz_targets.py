# SPDX-License-Identifier: Apache-2.0
"""What the fuzzer runs: each target takes any bytes, and raises if anything but our declared errors comes out.

The seeds are made by code, and each is what a target reads well.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from imagier.v1 import annotator_pb2, tags_pb2
from imagier_client import codec as client_codec
from imagier_client import errors as client_errors
from imagier_client.cli import jsonl, matching
from imagier_server.engines import addresses
from imagier_server.errors import Code, ImagierError, InvalidImageError, ModelUnavailableError
from imagier_server.messages import KeywordsRequest
from imagier_server.model_lock import LOCK_NAME, ModelLockError, read_lock
from imagier_server.settings import Settings
from imagier_server.transport.codec import to_keywords_response
from imagier_server.transport.status import to_status
from pydantic import ValidationError
from pydantic_settings import CliSettingsSource, SettingsError

from support.fuzz_decoding import conversations, frames, picture, pictures
from support.fuzz_requests import CALL, answer, answers, request, requests, server, well_formed


def keywords(data: bytes) -> None:
    """A library's keywords, a line each; the first says in which languages they are written, and are answered.

    The command reads the same bytes as a file.
    """
    file = _scratch() / "keywords.txt"
    file.write_bytes(data)
    with suppress(UnicodeError):
        assert all(keyword.strip() for keyword in matching.read(str(file)))
    languages, *words = data.decode("utf-8", "replace").split("\n")
    wanted, _, written = languages.partition(";")
    request = KeywordsRequest(tuple(words), tuple(wanted.split(",")), tuple(written.split(",")))
    try:
        found = server().runner.run(server().keywords.match(request, CALL))
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
    message.ocr.words = True
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
