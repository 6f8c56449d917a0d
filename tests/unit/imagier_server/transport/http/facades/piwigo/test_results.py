# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

from imagier_server.errors import InvalidImageError
from imagier_server.ledger.tickets import Kept
from imagier_server.messages import TaskOutcome
from imagier_server.tasks.caption.values import Caption, Captions
from imagier_server.tasks.embedding.values import Embedding, Encoding, SpaceInfo, Vector
from imagier_server.tasks.ocr.values import Point, Text, TextLine
from imagier_server.tasks.tags.values import Tag, Tags
from imagier_server.tickets.sealing import Seal
from imagier_server.tickets.ticket import Answer
from imagier_server.transport.http.facades.piwigo import results

CORNERS = (Point(0, 0), Point(1, 0), Point(1, 1), Point(0, 1))
CAPTION = TaskOutcome((), Captions((Caption("a cat", "en", 0.9, guess=False),)), cost=2)
OCR = TaskOutcome((), Text((TextLine("Café", 0.91234, CORNERS),)), cost=1)
BROKEN = TaskOutcome((), error=InvalidImageError("the picture file is broken"))


def tags(*names: dict[str, str]) -> TaskOutcome:
    return TaskOutcome((), Tags(tuple(Tag(str(n), each, 0.9) for n, each in enumerate(names))), cost=1)


def written(*languages: str, **outcomes: TaskOutcome) -> dict[str, Any]:
    found = json.loads(results.written("t1", Answer(outcomes, 1.234), languages or ("en",)))
    assert (found["ticket_id"], found["process_time"]) == ("t1", "1.23 s")
    return dict(found)


def test_tags_are_one_string_in_the_language_of_the_site() -> None:
    cat, dog = {"en": "cat", "fr": "chat", "zh": "猫"}, {"en": "dog", "fr": "chien", "zh": "狗"}
    assert written("fr", "en", tags=tags(cat, dog))["tags"] == "chat,chien"
    assert written("zh", "en", tags=tags(cat, dog))["tags"] == "猫,狗"
    assert written("pt", "en", tags=tags(cat, dog))["tags"] == "cat,dog", "no Portuguese names: English ones"


def test_a_comma_within_a_tag_does_not_make_two_of_it() -> None:
    assert written(tags=tags({"en": "sign, street"}, {"en": "sign street"}, {"en": " , "}))["tags"] == "sign street"


def test_tags_are_left_out_rather_than_empty() -> None:
    assert "tags" not in written(tags=tags())
    assert "tags" not in written(caption=CAPTION)


def test_the_cost_is_whole_and_that_of_what_succeeded() -> None:
    found = written(caption=CAPTION, ocr=BROKEN, tags=tags({"en": "cat"}))
    assert (found["cost"], type(found["cost"])) == (3, int)
    assert (found["description"], found["ocr"], found["tags"]) == ("a cat", None, "cat")
    assert "failed" not in found


def test_text_is_an_array_of_objects_and_empty_if_there_is_none() -> None:
    assert written(ocr=OCR)["ocr"] == [{"text": "Café", "confidence": 0.9123}]
    assert written(ocr=TaskOutcome((), Text(())))["ocr"] == [], "null would make the plugin call the ticket failed"
    assert written(caption=TaskOutcome((), Captions(())))["description"] is None


def test_a_ticket_fails_if_every_task_did() -> None:
    found = written(caption=BROKEN, ocr=BROKEN)
    assert (found["failed"], found["cost"]) == ("the picture file is broken", 0)
    assert "description" not in found


def test_a_vector_is_a_string_of_exactly_512_numbers() -> None:
    def outcome(length: int) -> TaskOutcome:
        values = (1.0, *(0.0,) * (length - 1))
        return TaskOutcome((), Embedding(SpaceInfo("s", length), Vector(Encoding.FLOAT32, values)), cost=1)

    found = written(embedding=outcome(512), ocr=OCR)
    assert isinstance(found["embedding"], str)
    assert json.loads(found["embedding"]) == [1.0] + [0.0] * 511
    assert found["cost"] == 2
    assert "embedding" not in written(embedding=outcome(768), ocr=OCR)
    assert "embedding" not in written(embedding=BROKEN, ocr=OCR)


def test_a_callback_has_strings_only_and_nothing_empty() -> None:
    document = results.written(
        "t1", Answer({"caption": CAPTION, "ocr": OCR, "tags": tags({"en": "cat"})}, 1.0), ("en",)
    )
    fields = results.form(document, "account")
    assert fields == {
        "account_id": "account", "ticket_id": "t1", "cost": "4", "process_time": "1.00 s", "description": "a cat",
        "ocr": '[{"text": "Café", "confidence": 0.9123}]', "tags": "cat",
    }  # fmt: skip
    nothing = results.form(results.written("t1", Answer({"ocr": TaskOutcome((), Text(()))}, 1.0), ("en",)), "account")
    assert nothing.keys() == {"account_id", "ticket_id", "cost", "process_time"}
    failed = results.form(results.written("t1", Answer({"ocr": BROKEN}, 1.0), ("en",)), "account")
    assert failed["failed"] == "the picture file is broken"
    assert failed["cost"] == "0"


def test_what_was_lost_or_sealed_with_another_key_has_failed() -> None:
    document = results.written("t1", Answer({"caption": CAPTION}, 1.0), ("en",))
    sealed = Seal("a").close("t1", document)
    good, lost, other = results.opened([Kept("t1", sealed), Kept("t2", None), Kept("t3", sealed)], Seal("a"))
    assert good == json.loads(document)
    assert (lost["ticket_id"], lost["cost"]) == ("t2", 0)
    assert "restarted" in lost["failed"]
    assert "another key" in other["failed"]
