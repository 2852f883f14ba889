"""`inbox:*`: every inbox one may read, also those that come into being later."""

from collections.abc import Sequence

import asyncpg
import pytest

from gateway.domain.access import Role
from gateway.domain.streams import Extent
from tests.launcher.running import Running, Socket
from tests.postgres.writers import insert_message, insert_session
from tests.realtime.live import events_of, heard, pong


def moves(socket: Socket) -> dict[str, list[int]]:
    """Offsets that came, by inbox."""
    found: dict[str, list[int]] = {}
    for event in events_of(socket.frames):
        found.setdefault(event["topic"], []).append(event["off"])
    return found


async def test_all_inboxes_are_named_with_their_positions(live: Running, writer: asyncpg.Connection) -> None:
    for inbox in (7, 8):
        await insert_message(writer, inbox)
        await heard(live, inbox, 1)
    async with live.socket() as socket:
        subscribed = await socket.subscribe("inbox:*")

        assert "off" not in subscribed
        tops = subscribed["tops"]
        assert {key: top["off"] for key, top in tops.items()} == {"0": 0, "7": 1, "8": 1}
        assert all(top["epoch"] for top in tops.values())
        assert not events_of(socket.frames)


async def test_events_name_the_real_inbox(live: Running, writer: asyncpg.Connection) -> None:
    async with live.socket() as socket:
        await socket.subscribe("inbox:*")
        await insert_session(writer, 7)
        await insert_message(writer, 7)

        assert (await socket.event("message.created"))["topic"] == "inbox:7"


async def test_a_session_made_later_appears_by_itself(live: Running, writer: asyncpg.Connection) -> None:
    viewer = live.token(Role.VIEWER, {7, 8})
    async with live.socket(viewer) as socket:
        assert (await socket.subscribe("inbox:*"))["tops"] == {}
        async with writer.transaction():  # session and first message in one: nothing may be lost between them
            await insert_session(writer, 7)
            await insert_message(writer, 7)
            await insert_message(writer, 9)
        await insert_message(writer, 7)
        await socket.next("event", lambda frame: frame["off"] == 2)

        assert moves(socket) == {"inbox:7": [1, 2]}


async def test_an_inbox_that_is_made_later_is_named_before_its_first_event_and_can_be_resumed(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with live.socket() as socket:
        await socket.subscribe("inbox:*")
        await insert_message(writer, 7)
        named = (await socket.next("subscribed"))["tops"]
        event = await socket.event("message.created")
        await socket.send(type="unsubscribe", topic="inbox:*")
        again = await socket.subscribe(
            "inbox:*", after={"7": {"off": event["off"], "epoch": named["7"]["epoch"]}}
        )

        assert set(named) == {"7"}
        assert named["7"]["off"] == 0
        assert again["tops"]["7"] == {"off": 1, "epoch": named["7"]["epoch"]}
        assert moves(socket) == {"inbox:7": [1]}


async def test_an_inbox_that_appears_during_a_subscribe_is_not_missed(
    live: Running, writer: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = live.gateway.websockets.reads
    asked = streams.extents

    async def appears_meanwhile(inboxes: Sequence[int] | None = None) -> dict[int, Extent]:
        found = await asked(inboxes)
        if inboxes is not None and 77 not in inboxes and live.gateway.live.hub.position(77) is None:
            await insert_message(writer, 77)
            await heard(live, 77, 1)
        return found

    async with live.socket() as socket:
        monkeypatch.setattr(streams, "extents", appears_meanwhile)
        # Where an inbox begins that `after` does not name, only the store can say.
        again = await socket.subscribe("inbox:*", after={})

        assert again["tops"]["77"]["off"] == 1
        assert moves(socket) == {"inbox:77": [1]}


async def test_coming_back_replays_each_inbox_from_where_it_was(
    live: Running, writer: asyncpg.Connection
) -> None:
    for inbox in (7, 8):
        await insert_message(writer, inbox)
        await heard(live, inbox, 1)
    async with live.socket() as socket:
        tops = (await socket.subscribe("inbox:*"))["tops"]
    for inbox, off in ((7, 2), (8, 2), (9, 1), (8, 3)):
        await insert_message(writer, inbox)
        await heard(live, inbox, off)
    async with live.socket() as socket:
        # 8 is missing, 9 is new: both come from their beginning.
        after = {"7": tops["7"], "0": tops["0"]}
        subscribed = await socket.subscribe("inbox:*", after=after)

        assert moves(socket) == {"inbox:7": [2], "inbox:8": [1, 2, 3], "inbox:9": [1]}
        assert {key: top["off"] for key, top in subscribed["tops"].items()} == {
            "0": 0,
            "7": 2,
            "8": 3,
            "9": 1,
        }


async def test_a_useless_position_resets_its_inbox_alone(live: Running, writer: asyncpg.Connection) -> None:
    for inbox in (7, 8):
        await insert_message(writer, inbox)
        await heard(live, inbox, 1)
    async with live.socket() as socket:
        tops = (await socket.subscribe("inbox:*"))["tops"]
        after = {"7": {**tops["7"], "off": 0}, "8": {"off": 0, "epoch": "another history"}, "0": tops["0"]}
        await socket.subscribe("inbox:*", after=after)

        resets = [frame for frame in socket.frames if frame["type"] == "reset"]
        assert [(reset["topic"], reset["reason"]) for reset in resets] == [("inbox:8", "epoch_changed")]
        assert moves(socket) == {"inbox:7": [1]}


async def test_an_inbox_that_nobody_has_does_not_disturb(live: Running) -> None:
    async with live.socket() as socket:
        after = {"424242": {"off": 7, "epoch": "somewhere else"}}
        subscribed = await socket.subscribe("inbox:*", after=after)

        assert "424242" not in subscribed["tops"]


async def test_an_inbox_covered_twice_is_sent_once(live: Running, writer: asyncpg.Connection) -> None:
    async with live.socket() as socket:
        for topic in ("inbox:12", "inbox:*", "inbox:12"):
            await socket.subscribe(topic)
        await insert_message(writer, 12)
        await socket.event("message.created")

        assert moves(socket) == {"inbox:12": [1]}
        assert not events_of(await pong(socket))


async def test_an_inbox_covered_twice_goes_on_when_one_topic_ends(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with live.socket() as socket:
        for topic in ("inbox:12", "inbox:*"):
            await socket.subscribe(topic)
        for topic in ("inbox:12", "inbox:*"):
            await insert_message(writer, 12)
            await socket.event("message.created")
            await socket.send(type="unsubscribe", topic=topic)
            await socket.next("unsubscribed")
        await insert_message(writer, 12)
        async with live.socket() as witness:
            await witness.subscribe("inbox:12", after={"off": 0, "epoch": "any"})

        assert moves(socket) == {"inbox:12": [1, 2]}
        assert not events_of(await pong(socket))


async def test_the_second_topic_replays_what_the_first_never_sent(
    live: Running, writer: asyncpg.Connection
) -> None:
    for _ in range(3):
        await insert_message(writer, 12)
    await heard(live, 12, 3)
    async with live.socket() as socket:
        position = await socket.subscribe("inbox:12")
        await socket.subscribe("inbox:*")
        after = {"12": {"off": 1, "epoch": position["epoch"]}}
        await socket.subscribe("inbox:*", after=after)
        assert moves(socket) == {"inbox:12": [2, 3]}

        # All of that has been sent to this connection already.
        after_one = {"off": 2, "epoch": position["epoch"]}
        await socket.send(type="unsubscribe", topic="inbox:12")
        await socket.subscribe("inbox:12", after=after_one)
        assert moves(socket) == {"inbox:12": [2, 3]}
