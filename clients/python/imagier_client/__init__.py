# SPDX-License-Identifier: Apache-2.0
"""Python client of Imagier: an asyncio client, a blocking one over the same decisions, and the command `imagier`."""

from imagier_client.aio import AsyncClient
from imagier_client.blocking import Client
from imagier_client.errors import (
    DeadlineError,
    ExhaustedError,
    ImageTooLargeError,
    ImagierClientError,
    InvalidImageError,
    InvalidRequestError,
    UnavailableError,
    UnreadableFileError,
)
from imagier_client.keywords import KeywordMatch, KeywordMatches, KeywordMeaning
from imagier_client.messages import (
    Annotation,
    Caption,
    CaptionOptions,
    CaptionResult,
    Catalog,
    Limits,
    ModelInfo,
    ModelReference,
    OptionInfo,
    Point,
    Polygon,
    StageTiming,
    Tag,
    TagParent,
    TagsOptions,
    TagsResult,
    TaskInfo,
    TaskLimit,
    TextLine,
    TextOptions,
    TextResult,
    TextWord,
    Timings,
)
from imagier_client.retry import RetryPolicy

__version__ = "0.1.0"

__all__ = [
    "Annotation",
    "AsyncClient",
    "Caption",
    "CaptionOptions",
    "CaptionResult",
    "Catalog",
    "Client",
    "DeadlineError",
    "ExhaustedError",
    "ImageTooLargeError",
    "ImagierClientError",
    "InvalidImageError",
    "InvalidRequestError",
    "KeywordMatch",
    "KeywordMatches",
    "KeywordMeaning",
    "Limits",
    "ModelInfo",
    "ModelReference",
    "OptionInfo",
    "Point",
    "Polygon",
    "RetryPolicy",
    "StageTiming",
    "Tag",
    "TagParent",
    "TagsOptions",
    "TagsResult",
    "TaskInfo",
    "TaskLimit",
    "TextLine",
    "TextOptions",
    "TextResult",
    "TextWord",
    "Timings",
    "UnavailableError",
    "UnreadableFileError",
]
