"""Streams over a socket: in order, without gaps, from where the client was, to whom it may concern."""

import asyncpg

from gateway.domain.access import Role
from tests.launcher.running import Running
from tests.postgres.writers import INCOMING, insert_message, insert_session
from tests.realtime.live import events_of, heard, offs_of, pong


async def test_a_new_subscription_gets_what_comes_and_not_what_was(
    live: Running, writer: asyncpg.Connection
) -> None:
    await insert_message(writer, 12, message_text="before")
    await heard(live, 12, 1)
    async with live.socket() as socket:
        subscribed = await socket.subscribe("inbox:12")
        assert (subscribed["topic"], subscribed["off"]) == ("inbox:12", 1)
        assert subscribed["epoch"]

        await insert_message(writer, 12, message_text="after")
        event = await socket.event("message.created")
        assert (event["topic"], event["off"], event["data"]["message_text"]) == ("inbox:12", 2, "after")
        assert len(events_of(socket.frames)) == 1


async def test_an_event_says_what_the_contract_says(live: Running, writer: asyncpg.Connection) -> None:
    async with live.socket() as socket:
        await socket.subscribe("inbox:12")
        raw = {"sessionId": "a key that nobody may see"}
        await insert_message(writer, 12, message_id="ABC", message_text="hi", raw_data=raw)

        event = await socket.event("message.created")
        assert set(event) == {"type", "topic", "off", "event", "at", "data"}
        assert event["at"].endswith("Z")
        data = event["data"]
        assert (data["message_id"], data["direction"], data["session_id"]) == ("ABC", "in", 12)
        assert (data["chat"], data["phone"]) == ("4915123456789@s.whatsapp.net", "4915123456789")
        assert "raw_data" not in data
        assert "a key" not in str(event)


async def test_coming_back_with_an_offset_replays_what_was_missed_and_then_says_so(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with live.socket() as socket:
        position = await socket.subscribe("inbox:12")
    for number in range(450):  # more than a page, more than the tail in memory
        await insert_message(writer, 12, message_text=f"missed {number}")
    await heard(live, 12, 450)
    after = {"off": position["off"], "epoch": position["epoch"]}
    async with live.socket() as socket:
        subscribed = await socket.subscribe("inbox:12", after=after)

        assert subscribed["off"] == 450
        assert offs_of(socket.frames) == list(range(1, 451))
        assert [event["data"]["message_text"] for event in events_of(socket.frames)][:2] == [
            "missed 0",
            "missed 1",
        ]
        await insert_message(writer, 12)
        assert (await socket.event("message.created"))["off"] == 451


async def test_what_is_committed_during_a_replay_comes_once_and_in_its_place(
    live: Running, writer: asyncpg.Connection
) -> None:
    for _ in range(300):
        await insert_message(writer, 12)
    async with live.socket() as socket:
        position = await socket.subscribe("inbox:12")
    async with live.socket() as socket:
        after = {"off": 0, "epoch": position["epoch"]}
        await socket.send(type="subscribe", ref="back", topic="inbox:12", after=after)
        for _ in range(100):
            await insert_message(writer, 12)
        await socket.next("event", lambda frame: frame["off"] == 400)

        assert offs_of(socket.frames) == list(range(1, 401))


async def test_a_position_read_in_a_newer_snapshot_than_the_gateways_is_no_reset(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with live.socket() as socket:
        position = await socket.subscribe("inbox:12")
        await mute(writer)
        await insert_message(writer, 12)
        after = {"off": 1, "epoch": position["epoch"]}
        assert (await socket.subscribe("inbox:12", after=after))["off"] == 1

        assert not [frame for frame in socket.frames if frame["type"] == "reset"]


async def mute(writer: asyncpg.Connection) -> None:
    """From here on nothing rings in this database; what is written goes into the streams as ever."""
    await writer.execute(
        "CREATE OR REPLACE FUNCTION gateway.notify_v1(channel text, numbers bigint[]) RETURNS void "
        "LANGUAGE sql AS $$ SELECT $$"
    )


# ---------------------------------------------------------------------------------------------- names


async def test_each_change_is_one_event_of_the_right_name(live: Running, writer: asyncpg.Connection) -> None:
    async with live.socket() as socket:
        await socket.subscribe("inbox:12")
        row = await insert_message(writer, 12, message_id="M")
        await writer.execute(f"UPDATE {INCOMING} SET is_read = true WHERE id = $1", row)
        await writer.execute(f"UPDATE {INCOMING} SET is_read = true WHERE id = $1", row)  # changes nothing
        await writer.execute(f"UPDATE {INCOMING} SET message_text = 'new', edited_at = now()")
        await writer.execute(f"UPDATE {INCOMING} SET deleted_at = now()")
        await writer.execute(f"DELETE FROM {INCOMING}")
        await socket.next("event", lambda frame: frame["off"] == 5)

        named = [(event["off"], event["event"]) for event in events_of(socket.frames)]
        assert named == [
            (1, "message.created"),
            (2, "message.updated"),
            (3, "message.updated"),
            (4, "message.deleted"),
            (5, "message.deleted"),
        ]
        last = events_of(socket.frames)[-1]["data"]
        assert (last["message_id"], last["session_id"], last["direction"]) == ("M", 12, "in")
        assert last["chat"] == "4915123456789@s.whatsapp.net"


async def test_an_outgoing_message_that_gets_further_is_a_status_event(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with live.socket() as socket:
        await socket.subscribe("inbox:12")
        await writer.execute(
            "INSERT INTO whatsapp_outgoing_messages (client_id, wasender_session_id, chat, to_phone, message_text, "
            "message_type, status) VALUES ('c1', 12, '4915@s.whatsapp.net', '4915', 'hi', 'text', 'sent')"
        )
        await writer.execute(
            "UPDATE whatsapp_outgoing_messages SET status = 'delivered', delivered_at = now()"
        )
        moved = await socket.event("message.status")

        created = events_of(socket.frames)[0]
        assert (created["event"], created["data"]["status"]) == ("message.created", "sent")
        assert (moved["off"], moved["data"]["status"]) == (2, "delivered")
        assert (moved["data"]["direction"], moved["data"]["chat"]) == ("out", "4915@s.whatsapp.net")


async def test_a_row_that_moves_is_deleted_in_one_inbox_and_created_in_the_other(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with live.socket() as socket:
        await socket.subscribe("inbox:0")
        await socket.subscribe("inbox:12")
        row = await insert_message(writer, None, message_text="whose?")
        await writer.execute(f"UPDATE {INCOMING} SET wasender_session_id = 12 WHERE id = $1", row)
        await socket.next("event", lambda frame: frame["topic"] == "inbox:12")
        await pong(socket)

        moves = [(event["topic"], event["off"], event["event"]) for event in events_of(socket.frames)]
        assert sorted(moves) == [
            ("inbox:0", 1, "message.created"),
            ("inbox:0", 2, "message.deleted"),
            ("inbox:12", 1, "message.created"),
        ]


async def test_changes_of_one_transaction_come_in_their_order_after_its_commit(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with live.socket() as socket:
        await socket.subscribe("inbox:12")
        async with writer.transaction():
            row = await insert_message(writer, 12)
            await writer.execute(f"UPDATE {INCOMING} SET is_read = true WHERE id = $1", row)
            assert not events_of(await pong(socket)), "an event of a transaction that may still roll back"
        await socket.event("message.updated")

        assert offs_of(socket.frames) == [1, 2]


async def test_a_rolled_back_change_is_never_heard_of(live: Running, writer: asyncpg.Connection) -> None:
    async with live.socket() as socket:
        await socket.subscribe("inbox:12")
        transaction = writer.transaction()
        await transaction.start()
        await insert_message(writer, 12)
        await transaction.rollback()
        await insert_message(writer, 12, message_text="kept")

        event = await socket.event("message.created")
        assert (event["off"], event["data"]["message_text"]) == (1, "kept")


# ---------------------------------------------------------------------------------------------- size


async def test_a_huge_text_comes_as_a_frame_that_fits_and_says_what_is_missing(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with live.socket(max_size=256 * 1024) as socket:
        await socket.subscribe("inbox:12")
        # Every character of it takes six in JSON.
        await insert_message(writer, 12, message_text="\x01" * 400_000)
        event = await socket.event("message.created")

        assert event["truncated"] == ["message_text"]
        assert event["data"]["message_text"] is None
        assert event["data"]["phone"] == "4915123456789"


async def test_many_long_values_come_as_a_frame_that_fits(live: Running, writer: asyncpg.Connection) -> None:
    long = {f"extra_{number}": "y" * 15_000 for number in range(40)}
    for name in long:
        await writer.execute(f"ALTER TABLE {INCOMING} ADD COLUMN {name} text")
    async with live.socket(max_size=256 * 1024) as socket:
        await socket.subscribe("inbox:12")
        await insert_message(writer, 12, message_text="short", **long)
        event = await socket.event("message.created")

        assert event["data"]["message_text"] == "short"
        kept = [name for name in long if event["data"][name] is not None]
        assert event["truncated"] == sorted(set(long) - set(kept))
        assert len(kept) >= 15, "more was left out than had to be"


# ---------------------------------------------------------------------------------------------- who


async def test_nobody_gets_events_of_a_session_that_is_not_his(
    live: Running, writer: asyncpg.Connection
) -> None:
    for number in (7, 8):
        await insert_session(writer, number)
    viewer = live.token(Role.VIEWER, {7})
    async with live.socket(viewer) as socket, live.socket() as witness:
        await witness.subscribe("inbox:*")
        for guess in ("inbox:8", "inbox:0", "inbox:99"):
            await socket.send(type="subscribe", ref=guess, topic=guess)
            error = await socket.next("error")
            assert (error["ref"], error["code"]) == (guess, "forbidden")
        after = {"8": {"off": 0, "epoch": "x"}, "0": {"off": 0, "epoch": "x"}}
        assert set((await socket.subscribe("inbox:*", after=after))["tops"]) <= {"7"}
        for inbox in (8, None, 99):
            await insert_message(writer, inbox)
        await witness.next("event", lambda frame: frame["topic"] == "inbox:99")

        frames = await pong(socket)
        assert not [frame for frame in frames if frame["type"] in ("event", "reset")]


async def test_rows_without_a_session_are_for_those_who_may_see_all(
    live: Running, writer: asyncpg.Connection
) -> None:
    viewer = live.token(Role.VIEWER, None)
    async with live.socket(viewer) as socket:
        await socket.subscribe("inbox:0")
        await insert_message(writer, None)
        await insert_message(writer, -5)  # another writer's placeholder

        events = [await socket.event("message.created") for _ in range(2)]
        assert [event["topic"] for event in events] == ["inbox:0", "inbox:0"]
        assert [event["data"]["session_id"] for event in events] == [0, 0]


# ---------------------------------------------------------------------------------------------- leaving


async def test_after_unsubscribed_nothing_comes_any_more(live: Running, writer: asyncpg.Connection) -> None:
    async with live.socket() as socket, live.socket() as witness:
        await socket.subscribe("inbox:12")
        await witness.subscribe("inbox:12")
        await socket.send(type="unsubscribe", ref="3", topic="inbox:12")
        left = await socket.next("unsubscribed")
        assert (left["ref"], left["topic"]) == ("3", "inbox:12")
        await insert_message(writer, 12)
        await witness.event("message.created")

        assert not events_of(await pong(socket))


async def test_after_unsubscribing_one_can_come_back(live: Running, writer: asyncpg.Connection) -> None:
    async with live.socket() as socket:
        position = await socket.subscribe("inbox:12")
        await socket.send(type="unsubscribe", topic="inbox:12")
        await socket.next("unsubscribed")
        await insert_message(writer, 12)
        after = {"off": position["off"], "epoch": position["epoch"]}
        await heard(live, 12, 1)
        again = await socket.subscribe("inbox:12", after=after)

        assert again["off"] == 1
        assert offs_of(socket.frames) == [1]
