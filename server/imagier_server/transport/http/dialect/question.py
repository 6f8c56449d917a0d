# SPDX-License-Identifier: Apache-2.0
"""A question in a dialect (model, fields asked for, preferred languages), which becomes a request, and the result its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from imagier_server.messages import AnnotateRequest, Annotation
from imagier_server.transport.codecs.registry import codecs
from imagier_server.transport.http.dialect import schema
from imagier_server.transport.http.dialect.models import DialectModel, words_of
from imagier_server.transport.http.dialect.shape import Shape, joint, usual


@dataclass(frozen=True, slots=True)
class Question:
    """`fields` by name; None asks for plain text. `languages`: those preferred, best first."""

    model: DialectModel
    fields: Mapping[str, Shape] | None = None
    languages: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it needs, in the order of a text."""
        names = [task.name for task in self.model.tasks]
        if self.fields is None:
            return tuple(names)
        return tuple(name for name in names if not self.fields.keys().isdisjoint(words_of(name).fields))

    def request(self, image: bytes) -> AnnotateRequest:
        """The request for a picture, with each task's default options.

        A task that speaks none of the preferred languages answers in its own first one.
        """
        tasks = {name: codec.read(codec.options()) for name in self.tasks for codec in (codecs()[name],)}
        own = (task.languages[0] for task in self.model.tasks if task.name in tasks and task.languages)
        languages = tuple(dict.fromkeys((*self.languages, *own))) if self.languages else ()
        return AnnotateRequest(image, tasks, languages)

    def answer(self, annotation: Annotation) -> str:
        """The text of the answer: one JSON object, or words.

        Raises the `ImagierError` of a task that failed, first of one that may be tried again; `NothingFoundError` if the schema
        asks for more than there is.
        """
        failed = [outcome.error for outcome in annotation.outcomes.values() if outcome.error]
        if failed:
            raise min(failed, key=lambda error: error.retry_after is None)
        if self.fields is not None:
            values = {name: self._filled(name, shape, annotation) for name, shape in self.fields.items()}
            return json.dumps(values, ensure_ascii=False)
        parts = (
            joint(words.plain(annotation.outcomes[name].result, self.languages), words).text
            for name in self.tasks
            for words in (words_of(name),)
        )
        return "\n\n".join(part for part in parts if part)

    def _filled(self, name: str, shape: Shape, annotation: Annotation) -> object:
        task = next(task for task in self.tasks if name in words_of(task).fields)
        words = words_of(task)
        said = words.fields[name].read(annotation.outcomes[task].result, self.languages)
        return shape.fill(said, words, name)


def of_schema(model: DialectModel, wanted: object, where: str) -> Mapping[str, Shape]:
    """The fields of a JSON schema. Raises `InvalidRequestError`."""
    return schema.read(wanted, model.fields, where)


def of_any_json(model: DialectModel) -> Mapping[str, Shape]:
    """All fields, for a caller that asks for JSON without a schema."""
    return {name: usual(name, words) for name, words in model.fields.items()}
