# SPDX-License-Identifier: Apache-2.0
"""Lines in scripts that the default recogniser does not read, before scripted models: who is asked, and for how many lines."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from imagier_server.errors import EngineUnavailableError
from imagier_server.messages import Picture
from imagier_server.tasks.ocr.recognizers import RECOGNIZER, Recognizer
from imagier_server.tasks.ocr.task import DETECTOR, ORIENTER, PAGE_SCRIPTS, TRIED, OcrTask
from imagier_server.tasks.ocr.values import OcrOptions, Text
from imagier_server.tasks.task import Task
from support.scripted_ocr import MANY, Scripted

pytestmark = pytest.mark.unit

THAI, GREEK, KOREAN = (f"{RECOGNIZER}_{script}" for script in ("thai", "greek", "korean"))
SCRIPTS: Task[OcrOptions, Text] = OcrTask(
    tuple(
        Recognizer(role, charset)
        for role, charset in ((RECOGNIZER, "ab人 "), (GREEK, "αβγ "), (THAI, "กขค "), (KOREAN, "가나다 "))
    )
)


@dataclass
class SureOfScripts(Scripted):
    """Models of which those in `sure` make sense of every line."""

    sure: frozenset[str] = frozenset()

    async def infer(self, model: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        answer = dict(await super().infer(model, inputs))
        if model.startswith(RECOGNIZER):
            answer["confidences"] = np.full_like(answer["confidences"], 0.999 if model in self.sure else 0.3)
        return answer


def read_scripts(models: Scripted) -> Text:
    return asyncio.run(SCRIPTS.run(Picture(np.zeros((1600, 1600, 3), np.uint8), 1600, 1600), OcrOptions(), (), models))


def rows_of(models: Scripted, role: str) -> int:
    return sum(shape[0] for model, shape in models.asked if model == role)


def test_what_the_default_recognizer_is_sure_of_costs_no_other_a_call():
    models = SureOfScripts(MANY, sure=frozenset({RECOGNIZER, GREEK}))
    assert {line.text for line in read_scripts(models).lines} == {"a b人"}
    assert not any(rows_of(models, role) for role in (THAI, GREEK, KOREAN))


def test_the_most_confident_script_reads_all_lines_and_the_others_a_few():
    models = SureOfScripts(MANY, sure=frozenset({KOREAN}))
    text = read_scripts(models)
    assert [line.text for line in text.lines] == ["가 나다"] * len(MANY)
    assert rows_of(models, KOREAN) == len(MANY)
    assert 0 < rows_of(models, GREEK) == rows_of(models, THAI) <= TRIED
    assert rows_of(models, RECOGNIZER) == len(MANY), "what makes sense is not read from the other end"


def test_a_page_in_no_installed_script_costs_a_few_lines_of_each():
    models = SureOfScripts(MANY)
    assert read_scripts(models).lines == ()
    assert all(0 < rows_of(models, role) <= TRIED for role in (THAI, GREEK, KOREAN))
    assert len((THAI, GREEK, KOREAN)) > PAGE_SCRIPTS, "or the bound is not tried"


def test_the_catalogue_follows_what_is_installed():
    assert SCRIPTS.models == (DETECTOR, ORIENTER, RECOGNIZER, GREEK, THAI, KOREAN)
    assert OcrTask.models == (DETECTOR, ORIENTER, RECOGNIZER)
    assert SCRIPTS.scripts == ("Grek", "Thai", "Kore")


def test_a_further_recognizers_failure_is_the_tasks_own():
    with pytest.raises(EngineUnavailableError):
        read_scripts(SureOfScripts(MANY, broken=THAI))
