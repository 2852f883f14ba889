"""The description of the WebSockets fits what the gateway reads and sends."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.http.api import openapi
from gateway.realtime.native import asyncapi, frames, protocol
from gateway.realtime.native.frame_examples import EXAMPLES
from tests.frames import check_frame

DOCUMENT = asyncapi.document(openapi.schemas(), "cookie")
SENT = [shape.__name__ for shape in frames.SERVER_FRAMES]
HEARD = [shape.__name__ for shape in frames.CLIENT_FRAMES]


@pytest.mark.parametrize("shape", SENT)
def test_every_example_of_the_server_is_what_its_schema_says(shape: str) -> None:
    check_frame(EXAMPLES[shape])


@pytest.mark.parametrize("shape", HEARD)
def test_every_example_of_a_client_is_read_by_the_server(shape: str) -> None:
    read = protocol.parse(json.dumps(EXAMPLES[shape]))

    assert f"{type(read).__name__}Frame" == shape


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "fresh", "since": "2026-11-23T10:00:00Z"},
        {"type": "drain"},
        {"type": "drain", "reconnect_after_ms": "soon"},
        {"type": "stale", "since": "yesterday"},
        {"type": "something_new"},
        {**EXAMPLES["EventFrame"], "event": "message.forgotten"},
        {**EXAMPLES["EventFrame"], "data": {"id": 7}},
        {**EXAMPLES["SessionStateFrame"], "data": {}},
        {**EXAMPLES["SubscribedStateFrame"], "state": [{"type": "state"}]},
    ],
)
def test_a_frame_that_is_not_described_is_found_out(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match=r"/asyncapi\.json"):
        check_frame(wrong)


def test_every_message_of_the_channel_belongs_to_an_operation() -> None:
    named = json.dumps(DOCUMENT["operations"])
    messages = DOCUMENT["channels"]["gateway"]["messages"]

    assert len(messages) == len(SENT) + len(HEARD)
    assert [name for name in messages if f'/messages/{name}"' not in named] == []


def test_what_is_inside_data_is_described_by_the_schemas_of_rest() -> None:
    schemas = DOCUMENT["components"]["schemas"]

    assert schemas["EventFrame"]["properties"]["data"] == {"$ref": "#/components/schemas/MessageData"}
    assert schemas["MessageData"] == openapi.schemas()["MessageData"]


def test_the_page_for_people_shows_every_kind_of_frame() -> None:
    page = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text(encoding="utf-8")
    shown = set(re.findall(r'{"type":"(\w+)"', page))

    assert shown == {str(example["type"]) for example in EXAMPLES.values()}
