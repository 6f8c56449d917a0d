# SPDX-License-Identifier: Apache-2.0
"""Python client of Imagier: an asyncio client, and a blocking one over the same decisions."""

from imagier_client.account import Balance, DailyUsage, Quote
from imagier_client.aio import AsyncClient
from imagier_client.blocking import Client
from imagier_client.errors import (
    AuthenticationError,
    ClientStateError,
    CreditsError,
    DeadlineError,
    DifferentSpaceError,
    ExhaustedError,
    ForbiddenError,
    ImageTooLargeError,
    ImagierClientError,
    InvalidImageError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    QuotaError,
    ServerFaultError,
    UnavailableError,
    UnreadableFileError,
    UnsupportedError,
)
from imagier_client.keywords import KeywordMatch, KeywordMatches, KeywordMeaning
from imagier_client.messages import (
    Annotation,
    Catalog,
    Limits,
    ModelInfo,
    OptionInfo,
    StageTiming,
    TaskInfo,
    TaskLimit,
    Timings,
)
from imagier_client.receipts import ModelReceipt, Receipt, ReceiptError, ReceiptKey, SignedReceipt, TaskReceipt
from imagier_client.retry import RetryPolicy
from imagier_client.tasks.caption import Caption, CaptionCandidate, CaptionResult
from imagier_client.tasks.embedding import Embedding, EmbeddingResult
from imagier_client.tasks.fingerprint import Fingerprint, FingerprintResult
from imagier_client.tasks.ocr import Ocr, OcrResult, TextLine, TextWord
from imagier_client.tasks.shown import Keyword, Line, Point, Polygon, Section
from imagier_client.tasks.tags import Candidate, FoundCandidate, Tag, TagParent, Tags, TagsResult, TaughtLabel
from imagier_client.tasks.task import ModelReference, Task, TaskOptions, TaskResult
from imagier_client.teaching import TrainedLabel
from imagier_client.texts import TextVectors
from imagier_client.tls import tls
from imagier_client.vectors import Vector, VectorSpace, ranked
from imagier_client.window import Waiting

__version__ = "0.1.0"

__all__ = [
    "Annotation",
    "AsyncClient",
    "AuthenticationError",
    "Balance",
    "Candidate",
    "Caption",
    "CaptionCandidate",
    "CaptionResult",
    "Catalog",
    "Client",
    "ClientStateError",
    "CreditsError",
    "DailyUsage",
    "DeadlineError",
    "DifferentSpaceError",
    "Embedding",
    "EmbeddingResult",
    "ExhaustedError",
    "Fingerprint",
    "FingerprintResult",
    "ForbiddenError",
    "FoundCandidate",
    "ImageTooLargeError",
    "ImagierClientError",
    "InvalidImageError",
    "InvalidRequestError",
    "Keyword",
    "KeywordMatch",
    "KeywordMatches",
    "KeywordMeaning",
    "Limits",
    "Line",
    "ModelInfo",
    "ModelReceipt",
    "ModelReference",
    "NotFoundError",
    "Ocr",
    "OcrResult",
    "OptionInfo",
    "OverloadedError",
    "Point",
    "Polygon",
    "QuotaError",
    "Quote",
    "Receipt",
    "ReceiptError",
    "ReceiptKey",
    "RetryPolicy",
    "Section",
    "ServerFaultError",
    "SignedReceipt",
    "StageTiming",
    "Tag",
    "TagParent",
    "Tags",
    "TagsResult",
    "Task",
    "TaskInfo",
    "TaskLimit",
    "TaskOptions",
    "TaskReceipt",
    "TaskResult",
    "TaughtLabel",
    "TextLine",
    "TextVectors",
    "TextWord",
    "Timings",
    "TrainedLabel",
    "UnavailableError",
    "UnreadableFileError",
    "UnsupportedError",
    "Vector",
    "VectorSpace",
    "Waiting",
    "ranked",
    "tls",
]
