# SPDX-License-Identifier: Apache-2.0
"""The JSON value in which a field is answered, and how what a task says fills it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagier_server.errors import NothingFoundError
from imagier_server.transport.codecs.words import Form, Said, Words


@dataclass(frozen=True, slots=True)
class Shape:
    """The form of a field. `keys` of an object; `least` and `most` entries (`least` 1 of a string: not empty).

    `nullable`: null stands for nothing.
    """

    form: Form
    keys: tuple[str, ...] = ()
    least: int = 0
    most: int | None = None
    nullable: bool = False

    def fill(self, said: Sequence[Said], words: Words, field: str) -> object:
        """The field's value. Raises `NothingFoundError` if there is less than `least`."""
        if len(said) < self.least:
            raise NothingFoundError(f"the schema asks for at least {self.least}, and there is less", field=field)
        said = said[: self.most]
        if self.form is Form.STRINGS:
            return [each.text for each in said]
        if self.form is Form.OBJECTS:
            return [self._object(each, words) for each in said]
        if not said and self.nullable:
            return None
        joined = joint(said, words)
        return joined.text if self.form is Form.STRING else self._object(joined, words)

    def _object(self, said: Said, words: Words) -> dict[str, str | float]:
        return {key: said.text if key == words.key else round(said.score, 4) for key in self.keys}


def joint(said: Sequence[Said], words: Words) -> Said:
    """All of it as one, with the lowest score; no words and 0 for nothing."""
    return Said(words.joint.join(each.text for each in said), min((each.score for each in said), default=0.0))


def usual(name: str, words: Words) -> Shape:
    """The shape of a field where the caller asks for none."""
    return Shape(words.fields[name].form, (words.key, *sorted(words.scores)))
