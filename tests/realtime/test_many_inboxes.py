"""`inbox:*` with more inboxes than one frame can name."""

from typing import Any

import asyncpg
import orjson

from gateway.domain.access import Role
from gateway.realtime.native.connection import MAX_TOPS
from gateway.realtime.transport.framing import MAX_FRAME_BYTES
from tests.launcher.running import Running, Socket
from tests.postgres.writers import insert_message
from tests.realtime.live import connection_of, sluggish, until

MANY = 5000
KIB = 1024
FIRST = 10**16
"""Ids as long as they get: whatever fits with them fits always."""


async def make_inboxes(gateway: Running, writer: asyncpg.Connection, count: int = MANY) -> None:
    await writer.execute(
        "INSERT INTO gateway.inboxes (inbox, off, floor)"
        " SELECT $1::bigint + i, 2000000000 + i, 2000000000 + i FROM generate_series(0, $2::int - 1) AS i",
        FIRST,
        count,
    )
    await gateway.gateway.live.feed.catch_up()


async def whole(socket: Socket) -> list[dict[str, Any]]:
    """All frames of one `subscribed`."""
    frames: list[dict[str, Any]] = []
    while not frames or frames[-1].get("more"):
        frames.append(await socket.next("subscribed"))
    return frames


async def test_subscribed_comes_in_frames_that_together_name_every_inbox_once(
    live: Running, writer: asyncpg.Connection
) -> None:
    await make_inboxes(live, writer)
    async with live.socket() as socket:
        await socket.send(type="subscribe", ref="all", topic="inbox:*")
        frames = await whole(socket)

        assert all(len(orjson.dumps(frame)) <= MAX_FRAME_BYTES for frame in frames)
        assert {frame["ref"] for frame in frames} == {"all"}
        assert "more" not in frames[-1]
        named = [inbox for frame in frames for inbox in frame["tops"]]
        assert len(named) == len(set(named)) == MANY + 1  # and inbox 0
        last = FIRST + MANY - 1
        assert frames[-1]["tops"][str(last)]["off"] == 2000000000 + MANY - 1
        await insert_message(writer, last)
        assert (await socket.event("message.created"))["off"] == 2000000000 + MANY


async def test_a_thousand_inboxes_are_named_in_one_frame(live: Running, writer: asyncpg.Connection) -> None:
    await make_inboxes(live, writer, 999)
    async with live.socket() as socket:
        assert "more" not in await socket.subscribe("inbox:*")


async def test_whoever_does_not_read_is_not_sent_all_frames_at_once(
    live: Running, writer: asyncpg.Connection
) -> None:
    await make_inboxes(live, writer)
    async with sluggish(live) as slow, live.socket() as quick:
        await slow.send(type="subscribe", ref="all", topic="inbox:*")
        outlet = connection_of(live, slow.name).transport
        await until(lambda: outlet.buffered() > 64 * KIB, "the first frames are on their way")
        await quick.send(type="subscribe", ref="all", topic="inbox:*")
        assert len(await whole(quick)) == 6
        assert outlet.buffered() <= 64 * KIB + MAX_TOPS * 110
        for _ in range(
            3
        ):  # events may come between the frames, each after the frame that names its inbox or in it
            await insert_message(writer, FIRST + MANY - 1)
        last = str(FIRST + MANY - 1)

        def is_whole() -> bool:
            named = {inbox for frame in slow.frames for inbox in frame.get("tops", {})}
            return len(named) > MANY and any(frame.get("off") == 2000000002 + MANY for frame in slow.frames)

        while not is_whole():
            assert await slow.read()
        told_at = next(n for n, frame in enumerate(slow.frames) if last in frame.get("tops", {}))
        told = slow.frames[told_at]["tops"][last]["off"]
        events = [
            (n, frame["off"]) for n, frame in enumerate(slow.frames) if frame.get("topic") == f"inbox:{last}"
        ]
        assert [off for _, off in events] == [2000000000 + MANY + n for n in range(3)]
        assert all((n < told_at) == (off <= told) for n, off in events)


async def test_a_heartbeat_names_so_many_as_fit_and_the_others_with_the_next(
    live: Running, writer: asyncpg.Connection
) -> None:
    await make_inboxes(live, writer)
    async with live.socket(live.token(Role.ADMIN)) as socket:
        await socket.send(type="subscribe", ref="all", topic="inbox:*")
        await whole(socket)
        connection = connection_of(live)
        await writer.execute(
            "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text, wasender_session_id) "
            "SELECT 'm' || id, '49151', 'x', nullif(id, 0) FROM unnest($1::bigint[]) AS id",
            list(live.gateway.live.hub.positions()),
        )
        for _ in range(MANY + 1):
            await socket.event("message.created")
        named: set[str] = set()
        for _ in range(6):
            connection.heartbeat()
            beat = await socket.next("heartbeat")
            assert len(orjson.dumps(beat)) <= MAX_FRAME_BYTES
            assert not named & set(beat["tops"])
            named |= set(beat["tops"])

        assert len(named) == MANY + 1
        assert live.gateway.live.hub.positions().keys() >= {int(name[6:]) for name in named}
