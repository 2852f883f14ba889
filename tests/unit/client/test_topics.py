"""What a topic does with single frames; the property test next door covers their mixtures."""

import json
from typing import Any

from gateway.client.items import Event, Live, Position, Reset, Snapshot, State
from gateway.client.topics import Phase, StateTopic, StreamTopic
from tests.unit.client.model import Bench, Json, event_frame

AT_FIVE = {"1": {"off": 5, "epoch": "a"}}


class Wire:
    def __init__(self) -> None:
        self.sent: list[Json] = []

    def send(self, frame: Json) -> str:
        self.sent.append(frame)
        return str(len(self.sent))

    def later(self, retry: Any) -> None:
        raise AssertionError("nothing is to be tried again")


def test_a_single_inbox_is_asked_for_with_its_own_position() -> None:
    wire = Wire()
    StreamTopic("inbox:1", wire, lambda item: None, AT_FIVE).join()  # type: ignore[arg-type]

    assert wire.sent == [{"type": "subscribe", "topic": "inbox:1", "after": {"off": 5, "epoch": "a"}}]


def test_without_a_position_a_stream_starts_now_and_resumes_from_there() -> None:
    bench = Bench()
    bench.server.write("1")
    bench.topic.join()
    bench.deliver()
    bench.server.write("1")
    bench.server.line.clear()
    bench.reconnect()

    assert "after" not in bench.asked[0]
    assert bench.asked[1]["after"] == {"1": {"off": 1, "epoch": "1-0"}}


def test_a_refusal_ends_the_topic() -> None:
    bench = Bench()
    bench.topic.join()
    refusal = bench.refused_by({"type": "error", "ref": "1", "code": "forbidden", "message": "Not yours."})

    assert str(refusal) == "inbox:* was refused (forbidden): Not yours."
    assert bench.topic.phase is Phase.REFUSED


def test_a_narrower_login_ends_the_topic_in_words() -> None:
    bench = Bench()
    bench.topic.join()
    bench.deliver()
    refusal = bench.refused_by({"type": "unsubscribed", "ref": None, "topic": "inbox:*"})

    assert refusal is not None
    assert refusal.code == "forbidden"


def test_a_database_that_is_away_is_asked_again_later() -> None:
    bench = Bench()
    bench.server.is_away = True
    bench.topic.join()
    bench.deliver()
    bench.server.is_away = False
    bench.retries.pop()()
    bench.deliver()

    assert bench.reader.items == [Live({})]


def test_a_retry_that_comes_after_a_reconnect_asks_only_once() -> None:
    bench = Bench()
    bench.server.is_away = True
    bench.topic.join()
    bench.deliver()
    bench.server.is_away = False
    bench.reconnect()
    bench.retries.pop()()

    assert len(bench.asked) == 2


def test_words_and_fields_nobody_knows_are_ignored() -> None:
    bench = Bench()
    bench.server.write("1")
    bench.topic.join()
    bench.deliver()
    bench.topic.receive({"type": "something_new", "topic": "inbox:1"})
    bench.topic.receive({})
    bench.topic.receive({**event_frame("1", 2, "1-0"), "colour": "green"})

    assert [type(item) for item in bench.reader.items] == [Live, Event]


def test_what_was_left_out_of_an_event_is_named() -> None:
    bench = Bench()
    bench.topic.join()
    bench.deliver()
    bench.topic.receive({**event_frame("1", 1, "1-0"), "truncated": ["message_text"]})

    (event,) = (item for item in bench.reader.items if isinstance(item, Event))
    assert event.truncated == ("message_text",)


def test_a_reset_names_the_position_from_which_events_go_on() -> None:
    bench = Bench(after={"1": {"off": 5, "epoch": "old"}})
    for _ in range(3):
        bench.server.write("1")
    bench.topic.join()
    bench.server.write("1")
    bench.deliver()

    assert bench.reader.items == [
        Reset("1", "epoch_changed", {"off": 3, "epoch": "1-0"}),
        Live({"1": {"off": 3, "epoch": "1-0"}}),
        Event("1", 4, "1-0", "message.created", "2026-01-01T00:00:00Z", {"id": "1/1-0/4"}),
    ]


def test_what_came_before_its_history_was_told_is_dropped_when_the_client_comes_back() -> None:
    bench = Bench(after={})
    for _ in range(2):
        bench.server.write("1")
    bench.topic.join()
    bench.deliver(2)
    bench.server.restore("1")
    for _ in range(3):
        bench.server.write("1")
    bench.reconnect()
    bench.deliver()

    assert [item for item in bench.reader.items if isinstance(item, Reset)] == [
        Reset("1", "epoch_unknown", {"off": 0, "epoch": None})
    ]
    assert [item.data["id"] for item in bench.reader.items if isinstance(item, Event)] == [
        *("1/1-0/1", "1/1-0/2"),
        *("1/1-0-/1", "1/1-0-/2", "1/1-0-/3", "1/1-0-/4"),
    ]
    assert bench.reader.items[-1] == Live({"1": {"off": 4, "epoch": "1-0-"}})


def test_an_inbox_that_the_restored_database_does_not_have_is_reset_too() -> None:
    bench = Bench(after={})
    bench.server.write("1")
    bench.topic.join()
    bench.deliver(1)
    bench.server.inboxes.clear()
    bench.reconnect()
    bench.deliver()

    assert bench.reader.items[1:] == [
        Reset("1", "epoch_unknown", {"off": 0, "epoch": None}),
        Live({"1": {"off": 0, "epoch": None}}),
    ]


def test_a_stream_from_now_that_was_cut_off_before_it_began_begins_from_now() -> None:
    items: list[Any] = []
    wire = Wire()
    topic = StreamTopic("inbox:1", wire, items.append)
    topic.join()
    topic.receive(event_frame("1", 6, "a"))
    topic.lose()
    topic.join()
    topic.receive({"type": "subscribed", "ref": "2", "topic": "inbox:1", "off": 6, "epoch": "b"})

    assert "after" not in wire.sent[-1]
    assert items[1:] == [
        Reset("1", "epoch_unknown", {"off": 6, "epoch": "b"}),
        Live({"1": {"off": 6, "epoch": "b"}}),
    ]


def test_a_kept_position_without_an_epoch_is_no_position() -> None:
    bench = Bench(after={"1": {"off": 2, "epoch": None}})
    for _ in range(3):
        bench.server.write("1")
    bench.topic.join()
    bench.deliver()

    assert [type(item) for item in bench.reader.items] == [Reset, Event, Event, Event, Live]


def test_with_thousands_of_inboxes_the_answer_comes_in_several_frames() -> None:
    items: list[Any] = []
    topic = StreamTopic("inbox:*", Wire(), items.append)
    topic.join()
    answer = {"type": "subscribed", "ref": "1", "topic": "inbox:*"}
    topic.receive({**answer, "tops": {"1": {"off": 5, "epoch": "a"}}, "more": True})
    topic.receive(event_frame("2", 42, "b"))
    topic.receive(event_frame("1", 6, "a"))
    topic.receive({**answer, "tops": {"2": {"off": 42, "epoch": "b"}}})

    assert [type(item) for item in items] == [Event, Event, Live]
    assert items[-1].position == {"1": {"off": 6, "epoch": "a"}, "2": {"off": 42, "epoch": "b"}}


def test_positions_of_thousands_of_inboxes_are_named_as_far_as_a_frame_can_hold_them() -> None:
    epoch = "5b0f6b0e-6d8c-4c57-9f43-1d2a3b4c5d6e"
    wire = Wire()
    after = {str(inbox): Position(off=1, epoch=epoch) for inbox in range(5000)}
    StreamTopic("inbox:*", wire, lambda item: None, after).join()

    assert len(json.dumps(wire.sent[0])) < 256 * 1024
    assert len(wire.sent[0]["after"]) > 2000


# ------------------------------------------------------------------------------------------------ states


def state_frame(version: int, session_id: int = 1, part: str = "session") -> Json:
    return {
        "type": "state",
        "topic": "sessions",
        "session_id": session_id,
        "part": part,
        "version": version,
        "event": "session.status",
        "at": "2026-01-01T00:00:00Z",
        "expires_at": None,
        "data": {"id": session_id},
    }


def test_an_older_state_never_follows_a_newer() -> None:
    items: list[Snapshot | State] = []
    topic = StateTopic("sessions", Wire(), items.append)
    topic.join()
    topic.receive({"type": "subscribed", "ref": "1", "topic": "sessions", "state": [state_frame(4)]})
    for version in (3, 4, 6, 5):
        topic.receive(state_frame(version))
    topic.receive(state_frame(1, session_id=2))

    shown = [item.version for item in items if isinstance(item, State)]
    assert isinstance(items[0], Snapshot)
    assert shown == [6, 1]


def test_after_a_reconnect_the_new_value_is_believed_whatever_its_version() -> None:
    items: list[Snapshot | State] = []
    topic = StateTopic("sessions", Wire(), items.append)
    for ref, version in (("1", 9), ("2", 2)):
        topic.join()
        topic.receive(
            {"type": "subscribed", "ref": ref, "topic": "sessions", "state": [state_frame(version)]}
        )
        topic.lose()

    assert [item.states[0].version for item in items if isinstance(item, Snapshot)] == [9, 2]
