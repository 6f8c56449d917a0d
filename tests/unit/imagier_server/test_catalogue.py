# SPDX-License-Identifier: Apache-2.0
"""The catalogue tells of tasks, models and limits as they are at that moment."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from imagier_server.catalogue import Catalogue, catalogue
from imagier_server.decode.formats import Format
from imagier_server.model_lock import LockedModel
from imagier_server.settings import Settings
from imagier_server.tasks.tags.task import TagsTask

ROOT = Path(__file__).parents[3]


def made(ready: bool) -> Catalogue:
    tagger = LockedModel(
        role="tagger",
        brand="a-net",
        version="1.0",
        source="example.org",
        source_digest="00",
        recipe=1,
        licence="Apache-2.0",
        research_only=True,
        languages=("en",),
        files={},
        tools={},
    )
    settings = Settings(
        max_image_bytes=5000, max_image_pixels=600_000, max_image_side=7000, stream_in_flight=8, in_flight=9
    )
    task = TagsTask.load(ROOT / "model_repository")
    return catalogue(version("imagier"), [task], {"tagger": tagger}, {"tagger": ready}, {"tags": 7}, settings)


def test_it_says_of_each_model_and_each_task_whether_it_is_ready() -> None:
    for ready in (True, False):
        assert [model.ready for model in made(ready).models] == [ready]
        assert [task.ready for task in made(ready).tasks] == [ready]


def test_it_has_what_callers_have_to_know() -> None:
    found = made(ready=True)
    (model,), (task,) = found.models, found.tasks
    assert (model.name, model.version, model.licence, model.research_only) == (
        "tagger",
        "a-net 1.0",
        "Apache-2.0",
        True,
    )
    assert (task.name, task.models, task.price) == ("tags", ("tagger",), 7)
    assert "max_tags" in {option.name for option in task.options}
    limits = found.limits
    assert (limits.image_bytes, limits.image_pixels, limits.image_side) == (5000, 600_000, 7000)
    assert (limits.stream_in_flight, limits.in_flight) == (8, 9)
    assert found.formats == tuple(Format)
