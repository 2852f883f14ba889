"""SUBSCRIBED means live; what is too slow catches up; what cannot be told ends the channel so that its page reloads."""

import asyncpg
import pytest

from gateway.domain.errors import StoreUnavailable
from gateway.domain.streams import Standing
from gateway.realtime.supabase.connection import SupabaseConnection
from tests.launcher.running import Running
from tests.postgres.writers import insert_many, insert_message
from tests.realtime.live import heard, roster_of, until
from tests.realtime.phoenix import ALL_INCOMING, INCOMING, Phoenix, phoenix

KIB = 1024
TEXT = "x" * 8 * KIB


def connection_of(gateway: Running) -> SupabaseConnection:
    (found,) = [item for item in roster_of(gateway).open if isinstance(item, SupabaseConnection)]
    return found


async def test_whoever_reloads_at_the_reply_misses_nothing(live: Running, writer: asyncpg.Connection) -> None:
    for number in range(20):
        async with phoenix(live) as client:
            await insert_message(writer, 12, message_text=f"before {number}")
            await client.join("shop", ALL_INCOMING)
            loaded = await writer.fetchval(f"SELECT count(*) FROM {INCOMING}")
            await insert_message(writer, 12, message_text=f"after {number}")
            while (await client.change())["record"]["message_text"] != f"after {number}":
                pass

            assert loaded == 2 * number + 1


async def test_what_was_committed_before_the_join_is_not_told(
    live: Running, writer: asyncpg.Connection
) -> None:
    # Nobody follows the inbox: its bell was heard, and that is all.
    await insert_message(writer, 12)
    await heard(live, 12, 1)
    await insert_message(writer, 12, message_text="before")
    await until(
        lambda: 12 in live.gateway.live.feed.unread or has_read(live, 12, 2), "the bell has been heard"
    )
    async with phoenix(live) as client:
        # Clients join again when they are told that Postgres cannot be heard, as after a machine stood still.
        while (await client.join("shop", ALL_INCOMING))["status"] != "ok":
            pass
        await insert_message(writer, 12, message_text="after")

        assert (await client.change())["record"]["message_text"] == "after"


async def away() -> None:
    raise StoreUnavailable("It is away.")


def has_read(gateway: Running, inbox: int, off: int) -> bool:
    position = gateway.gateway.live.hub.position(inbox)
    return position is not None and position.off >= off


async def test_a_join_while_postgres_cannot_be_heard_is_refused_until_it_can(
    live: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = live.gateway
    async with phoenix(live) as client:
        # Or it would be found out at once that nothing is wrong.
        monkeypatch.setattr(gateway.live.staleness, "catch_up", away)
        gateway.signals.cut_off()
        reply = await client.join("shop", ALL_INCOMING)
        assert reply["status"] == "error"
        assert reply["response"]["reason"].startswith("DatabaseUnavailable")
        monkeypatch.undo()
        gateway.signals.hear_again()
        await until(lambda: gateway.stale_since is None, "it is fresh again")

        assert (await client.join("shop", ALL_INCOMING))["status"] == "ok"


async def test_joined_channels_are_told_when_postgres_cannot_be_heard_and_stay_joined(
    live: Running, writer: asyncpg.Connection
) -> None:
    gateway = live.gateway
    async with phoenix(live) as client:
        await client.join("quiet")
        await client.join("shop", ALL_INCOMING)
        await client.system()
        gateway.signals.cut_off()
        gateway.signals.cut_off()  # once more: it is said once
        stale = await client.system()
        await insert_message(writer, 12)
        gateway.signals.hear_again()
        fresh = await client.system()
        while not any(said.event == "postgres_changes" for said in client.said):
            await client.receive()

    assert (stale["status"], fresh["status"]) == ("error", "ok")
    assert "none is lost" in stale["message"]
    assert fresh["message"] == "Subscribed to PostgreSQL"
    assert not {said.event for said in client.said} & {"phx_error", "phx_close"}


async def test_whoever_joins_again_because_it_was_told_of_a_fault_is_not_closed(live: Running) -> None:
    # Python's client joins again after any `system` error, and takes any `phx_close` for the end.
    async with phoenix(live, vsn="1.0.0") as client:
        await client.join("shop", ALL_INCOMING)
        live.gateway.signals.cut_off()
        await client.next("system", lambda said: said.payload["status"] == "error")
        live.gateway.signals.hear_again()
        await client.next("system", lambda said: said.payload["status"] == "ok")

        assert (await client.join("shop", ALL_INCOMING))["status"] == "ok"
    assert "phx_close" not in [said.event for said in client.said]


async def test_a_flood_ends_the_channel_so_that_its_page_reloads(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with phoenix(live) as client:
        await client.join("shop", ALL_INCOMING)
        await client.join("sessions", {"event": "*", "table": "whatsapp_sessions"})
        await insert_message(writer, 12)
        await client.change()
        await insert_many(writer, 12, 5001)
        fault = await client.next("phx_error")
        await client.join("shop", ALL_INCOMING)
        await insert_message(writer, 12, message_text="after")

        assert (await client.change())["record"]["message_text"] == "after"
    assert (fault.topic, fault.ref, fault.join_ref) == ("realtime:shop", "1", "1")
    assert "load again" in fault.payload["reason"]
    assert not [
        said for said in client.said if said.event in ("phx_error", "phx_close") and said is not fault
    ]


async def test_a_truncated_table_ends_the_channel_too(live: Running, writer: asyncpg.Connection) -> None:
    async with phoenix(live) as client:
        await client.join("shop", ALL_INCOMING)
        await insert_message(writer, 12)
        await client.change()
        await writer.execute(f"TRUNCATE {INCOMING}")

        assert (await client.next("phx_error")).topic == "realtime:shop"


async def _texts(client: Phoenix, last: str) -> list[str]:
    texts: list[str] = []
    while not texts or texts[-1] != last:
        texts.append((await client.change())["record"]["message_text"][-8:].strip("x"))
    return texts


@pytest.mark.parametrize("wish", [ALL_INCOMING, {**ALL_INCOMING, "filter": "message_type=eq.text"}])
async def test_whoever_reads_nothing_is_bounded_and_gets_everything_later(
    live: Running, writer: asyncpg.Connection, wish: dict[str, str]
) -> None:
    # The client's own buffers are small; what it does not take piles up in the gateway, up to a limit.
    async with phoenix(live, max_queue=1) as client, live.socket() as quick:
        await client.join("shop", wish)
        await client.system()
        await quick.subscribe("inbox:12")
        connection = connection_of(live)
        most = 0
        for number in range(200):
            kind = "text" if number % 2 == 0 else "image"
            await insert_message(writer, 12, message_text=f"{TEXT}{number}", message_type=kind)
            await quick.event("message.created")
            most = max(most, connection.transport.buffered())
        await heard(live, 12, 200)
        (cursor,) = [item for item in connection.all_cursors() if item.inbox == 12]
        assert cursor.standing is Standing.CATCHING_UP or most < 64 * KIB
        await insert_message(writer, 12, message_text=f"{TEXT}200", message_type="text")
        texts = await _texts(client, "200")

        assert most < 64 * KIB + 64 * KIB + 256 * KIB
        step = 2 if "filter" in wish else 1
        assert texts == [str(number) for number in range(0, 201, step)]
        await until(lambda: cursor.standing is Standing.LIVE, "it is live again")


async def test_a_frame_is_made_once_for_everybody_who_asked_for_the_same(
    live: Running, writer: asyncpg.Connection
) -> None:
    wish = {**ALL_INCOMING, "filter": "wasender_session_id=eq.12"}
    async with phoenix(live) as one, phoenix(live) as two, phoenix(live, vsn="1.0.0") as old:
        for client in (one, two, old):
            await client.join("shop", wish)
        await insert_message(writer, 12)
        for client in (one, two, old):
            await client.change()
        cursors = [
            cursor
            for item in roster_of(live).open
            if isinstance(item, SupabaseConnection)
            for cursor in item.all_cursors()
            if cursor.inbox == 12
        ]

        assert len(cursors) == 3
        assert len({cursor.encode for cursor in cursors}) == 2
