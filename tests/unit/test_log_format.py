"""How a line of the log looks, as text and as JSON."""

import asyncio
import json
import logging
import sys

import pytest

from gateway.cli.log import JsonFormatter, TextFormatter
from gateway.services.log_context import log_about, new_request_id


def record(template: str, *values: object, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("gateway.part", level, __file__, 1, template, values, None)


def as_json(template: str, *values: object) -> dict[str, object]:
    fields = json.loads(JsonFormatter().format(record(template, *values)))
    assert {"time", "level", "logger", "event"} <= fields.keys()
    return {name: value for name, value in fields.items() if name not in ("time", "level", "logger")}


def test_json_has_the_event_and_its_values_as_they_were_handed_over() -> None:
    assert as_json("feed.went_back inbox=%d from=%d to=%.1f why=%r", 3, 9, 1.25, "it\'s") == {
        "event": "feed.went_back", "inbox": 3, "from": 9, "to": 1.25, "why": "it\'s",
    }  # fmt: skip
    assert as_json("access.refused details=%s", {"count": 2}) == {
        "event": "access.refused",
        "details": {"count": 2},
    }


def test_json_says_in_the_event_what_has_no_name() -> None:
    assert as_json("webhook.%s session=%d", "ok", 7) == {"event": "webhook.ok", "session": 7}
    assert as_json("migrate %s", "0001 applied") == {"event": "migrate 0001 applied"}
    assert as_json("plain") == {"event": "plain"}


def test_json_keeps_a_value_that_is_called_like_a_field_of_every_line() -> None:
    fields = as_json("ingest.refused session=%d event=%s", 7, "messages.received")

    assert fields == {"event": "ingest.refused", "session": 7, "event_": "messages.received"}


def test_json_is_one_line_whatever_a_stranger_calls_itself_and_whatever_went_wrong() -> None:
    try:
        raise ValueError("one\ntwo")
    except ValueError:
        line = record("connection.closed sub=%s", "ann\nERROR all is lost")
        line.exc_info = sys.exc_info()
        said = JsonFormatter().format(line)

    assert "\n" not in said
    assert "ValueError: one\ntwo" in json.loads(said)["exception"]


async def test_lines_of_a_task_name_its_request_and_the_address_unless_the_line_does() -> None:
    async def answer() -> tuple[str, str, dict[str, object]]:
        log_about(request="r-1", address="192.0.2.7")
        await asyncio.sleep(0)
        text = TextFormatter()
        return (
            text.format(record("http.failed path=%s", "/")),
            text.format(record("limits.refused address=%s", "192.0.2.8")),
            as_json("http.failed path=%s", "/"),
        )

    said, named, fields = await asyncio.create_task(answer())

    assert said.endswith("http.failed path=/ request=r-1 address=192.0.2.7")
    assert named.endswith("limits.refused address=192.0.2.8 request=r-1")
    assert fields == {"event": "http.failed", "path": "/", "request": "r-1", "address": "192.0.2.7"}
    assert "request=" not in TextFormatter().format(record("http.failed path=%s", "/"))


@pytest.mark.parametrize("given", ["abc-1", "A.b~c:d_9", "x" * 64])
def test_a_request_keeps_the_id_that_it_came_with(given: str) -> None:
    assert new_request_id(given) == given


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", "a\nb", "é", "<b>"])
def test_what_is_no_id_is_replaced_by_one_of_our_own(given: str | None) -> None:
    first, second = new_request_id(given), new_request_id(given)

    assert first != second
    assert given not in (first, second)
    assert new_request_id(first) == first
