# SPDX-License-Identifier: Apache-2.0
"""The gateway's request and result values: frozen, typed, independent of any transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from imagier_server.errors import ImagierError
from imagier_server.timings import Timings

Pixels = npt.NDArray[np.uint8]
"""(height, width, 3), RGB, upright."""

Tensor = npt.NDArray[np.generic]
"""One input or output of a model; the first dimension is the batch."""

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture. `pixels` may be smaller than the picture; `width` and `height` are the upright picture's own.

    `cpu_seconds` is what decoding took. `orientation` is EXIF's, by which the picture was turned upright; 1: it was upright.
    """

    pixels: Pixels
    width: int
    height: int
    cpu_seconds: float = 0.0
    orientation: int = 1


class TaskOptions(Protocol):
    """The options of one task: a frozen value."""

    @property
    def characters(self) -> int:
        """Characters of all words, which are held as long as the picture."""
        ...


@dataclass(frozen=True, slots=True)
class AnnotateRequest:
    """One picture and the options of each task asked for, by the task's name.

    `seconds`: time limit of a stream's picture; None means the server's default. `fault`: why it could not be parsed.
    `nonce`: asks for a processing receipt, and is its key. `longest_side`: pixels of the picture; a longer one is refused unread.
    `together`: if a task fails, the request fails, and none is charged.
    """

    image: bytes
    tasks: Mapping[str, TaskOptions]
    languages: tuple[str, ...] = ()
    request_id: str = ""
    seconds: float | None = None
    fault: ImagierError | None = None
    nonce: bytes | None = None
    longest_side: int | None = None
    together: bool = False

    @property
    def size(self) -> int:
        """Size for admission: bytes of the picture file plus characters of all words."""
        words = sum(map(len, self.languages)) + sum(options.characters for options in self.tasks.values())
        return len(self.image) + words


@dataclass(frozen=True, slots=True)
class KeywordsRequest:
    """A library's keywords, the languages of the results, and those of the keywords."""

    keywords: tuple[str, ...]
    languages: tuple[str, ...] = ()
    keyword_languages: tuple[str, ...] = ()

    @property
    def image(self) -> None:
        """None: there is no picture."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Empty: tasks read pictures."""
        return ()

    @property
    def size(self) -> int:
        """Characters of all keywords."""
        return sum(map(len, self.keywords))


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model behind a result. `research_only`: its weights' terms allow research and private use only."""

    name: str
    version: str
    research_only: bool = False


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """The outcome of one task: its result or its error; `cost` in credits, 0 if it failed."""

    models: tuple[ModelReference, ...]
    result: object | None = None
    error: ImagierError | None = None
    cost: int = 0


@dataclass(frozen=True, slots=True)
class ProcessingReceipt:
    """What the server states about its work on one picture. Times in seconds since 1970; `released` is None if not known.

    `digests`: SHA-256 of the weights by model.
    """

    image_hmac: bytes
    server_version: str
    server_digest: bytes
    outcomes: Mapping[str, TaskOutcome]
    digests: Mapping[str, str]
    received: float
    decoded: float
    answered: float
    released: float | None
    key_id: str


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A serialized receipt, its Ed25519 signature and the id of the key."""

    receipt: bytes
    signature: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class ReceiptKey:
    """The public key that verifies receipts: 32 bytes."""

    key_id: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Annotation:
    """The result for one picture; `width` and `height` of the upright picture in pixels.

    `orientation` is EXIF's, by which it was turned upright.
    """

    request_id: str
    width: int
    height: int
    timings: Timings
    outcomes: Mapping[str, TaskOutcome] = field(default_factory=lambda: MappingProxyType({}))
    receipt: SignedReceipt | None = None
    orientation: int = 1

    @property
    def cost(self) -> int:
        """Total credits of the tasks that succeeded."""
        return sum(outcome.cost for outcome in self.outcomes.values())


@dataclass(frozen=True, slots=True)
class Account:
    """A tenant's credits: the balance, of which `reserved` for work in flight. `postpaid`: it may fall below 0."""

    tenant: str
    balance: int
    reserved: int
    postpaid: bool

    @property
    def available(self) -> int:
        """Credits for new work; less than 0 only if work was charged after its reservation had expired, or postpaid."""
        return self.balance - self.reserved


@dataclass(frozen=True, slots=True)
class Use:
    """What a tenant used of a task on a day (seconds since 1970 of its beginning, UTC)."""

    day: int
    task: str
    pictures: int
    credits: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What work would cost: credits by task for one picture, and in all; `sufficient`: whether the caller's credits suffice."""

    prices: Mapping[str, int]
    total: int
    sufficient: bool
