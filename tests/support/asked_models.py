# SPDX-License-Identifier: Apache-2.0
"""A catalogue as every server has it, and annotations of its tasks, for what answers in words."""

from __future__ import annotations

from imagier_server.catalogue import Catalogue, ModelInfo, ServerLimits, TaskInfo
from imagier_server.errors import ImagierError
from imagier_server.messages import Annotation, TaskOutcome
from imagier_server.tasks.caption.values import Caption, Captions
from imagier_server.tasks.ocr.values import Point, Text, TextLine
from imagier_server.tasks.tags.values import Tag, Tags
from imagier_server.timings import Timings
from imagier_server.transport.http.dialect import models
from imagier_server.transport.http.dialect.models import DialectModel

_SQUARE = (Point(0, 0), Point(1, 0), Point(1, 1), Point(0, 1))
NEEDS = {"tags": ("tagger",), "ocr": ("text_detector", "text_recognizer"), "caption": ("captioner",)}
LANGUAGES = {"tags": ("en", "fr", "zh"), "ocr": ("en", "zh"), "caption": ("en",)}

RESULTS = {
    "tags": Tags((Tag("n1", {"en": "tabby", "fr": "chat tigré"}, 0.9), Tag("n2", {"en": "cat", "fr": "chat"}, 0.95))),
    "ocr": Text((TextLine("STOP", 0.99, _SQUARE), TextLine("HERE", 0.8, _SQUARE))),
    "caption": Captions((Caption("A cat sits on a rock.", "en", 0.7, guess=False),), "Cat sitting on rock"),
}
NOTHING = {"tags": Tags(()), "ocr": Text(()), "caption": Captions((), guesses_left_out=1)}


def catalogue(*installed: str) -> Catalogue:
    """With the models of these tasks; of all if none is named."""
    roles = [role for task in installed or NEEDS for role in NEEDS[task]]
    return Catalogue(
        "1.2.3",
        tuple(TaskInfo(name, needs, LANGUAGES[name], (), 1, (), (), ready=True) for name, needs in NEEDS.items()),
        tuple(ModelInfo(role, f"{role} 1", "MIT", "somewhere", False, f"{role}-digest", ready=True) for role in roles),
        ServerLimits(1, 1, 1, 1, 1),
        ("image/jpeg",),
    )


def model(name: str = "imagier", *installed: str) -> DialectModel:
    return models.find(models.offered(catalogue(*installed)), name)


def annotation(failed: dict[str, ImagierError] | None = None, results: dict[str, object] | None = None) -> Annotation:
    """All tasks answered, but for those that failed."""
    outcomes = {name: TaskOutcome((), result=result) for name, result in (results or RESULTS).items()}
    outcomes |= {name: TaskOutcome((), error=error) for name, error in (failed or {}).items()}
    return Annotation("", 1, 1, Timings(), outcomes)
