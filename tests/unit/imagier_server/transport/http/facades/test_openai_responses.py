# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from imagier_server.transport.http.facades.openai_responses import _completed, _events

RESPONSE = {"id": "resp_1", "model": "imagier"}


def test_the_events_of_a_stream_tell_of_one_message_from_begin_to_end() -> None:
    events = list(_events(RESPONSE, "A cat."))
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.done",
        "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert {event["item_id"] for event in events if "item_id" in event} == {"msg_1"}
    assert "".join(event.get("delta", "") for event in events) == "A cat."
    assert events[-1]["response"] == _completed(RESPONSE, "A cat.")


def test_a_response_has_one_message_with_one_text() -> None:
    done = _completed(RESPONSE, "A cat.")
    assert [part["text"] for message in done["output"] for part in message["content"]] == ["A cat."]
    assert done["usage"]["total_tokens"] == 0
