"""Supabase Realtime's channels on a bare socket: joining, leaving, and what is answered to what."""

import json
from typing import Any

import asyncpg
import pytest

from tests.launcher.running import Running
from tests.postgres.writers import insert_message
from tests.realtime.live import roster_of, until
from tests.realtime.phoenix import ALL_INCOMING, INCOMING, OUTGOING, Phoenix, Said, phoenix

VERSIONS = ["1.0.0", "2.0.0"]
TOPIC = "realtime:shop"


@pytest.mark.parametrize("vsn", VERSIONS)
async def test_a_join_is_answered_with_its_own_bindings_and_ids_and_then_confirmed(
    shared_live: Running, vsn: str
) -> None:
    inserts = {"event": "INSERT", "schema": "public", "table": OUTGOING, "filter": "status=eq.sent", "x": 1}
    async with phoenix(shared_live, vsn=vsn) as client:
        reply = await client.join("shop", ALL_INCOMING, None, inserts)  # type: ignore[arg-type]
        system = await client.next("system")

    assert reply["status"] == "ok"
    listed = reply["response"]["postgres_changes"]
    ids = [item.pop("id") for item in listed]
    assert listed == [ALL_INCOMING, inserts]
    assert all(isinstance(number, int) and number > 0 for number in ids)
    assert ids[0] != ids[1]
    joined = "1" if vsn == "2.0.0" else None
    assert client.said[0][:3] == (joined, "1", TOPIC)
    assert system == Said(
        joined, None, TOPIC, "system",
        {
            "message": "Subscribed to PostgreSQL",
            "status": "ok",
            "extension": "postgres_changes",
            "channel": "shop",
        },
    )  # fmt: skip


@pytest.mark.parametrize("vsn", VERSIONS)
async def test_a_heartbeat_is_answered_with_its_ref_as_it_came(shared_live: Running, vsn: str) -> None:
    async with phoenix(shared_live, vsn=vsn) as client:
        await client.send("phoenix", "heartbeat", {}, ref="007")
        said = await client.receive()

    assert said == Said(None, "007", "phoenix", "phx_reply", {"status": "ok", "response": {}})


async def test_a_heartbeat_without_a_ref_is_answered_without_one(shared_live: Running) -> None:
    async with phoenix(shared_live, vsn="1.0.0") as client:  # as Python's client sends it
        await client.raw.send(
            '{"topic":"phoenix","event":"heartbeat","payload":{},"ref":null,"join_ref":null}'
        )

        assert (await client.receive()).ref is None


@pytest.mark.parametrize("vsn", VERSIONS)
async def test_a_channel_that_is_left_is_confirmed_closed_and_silent(
    live: Running, writer: asyncpg.Connection, vsn: str
) -> None:
    async with phoenix(live, vsn=vsn) as client:
        await client.join("shop", ALL_INCOMING)
        await client.system()
        await client.send(TOPIC, "phx_leave", {}, join_ref="1")
        reply, closed = await client.receive(), await client.receive()
        await insert_message(writer, 0)
        async with live.socket() as own:
            await own.subscribe("inbox:*")

        assert await client.changes_until_now() == []
    v2 = vsn == "2.0.0"
    assert reply == Said("1" if v2 else None, "2", TOPIC, "phx_reply", {"status": "ok", "response": {}})
    assert closed == Said("1" if v2 else None, "1", TOPIC, "phx_close", {})


async def test_leaving_what_was_never_joined_is_confirmed(shared_live: Running) -> None:
    async with phoenix(shared_live) as client:
        await client.send(TOPIC, "phx_leave", {}, join_ref="9")

        assert (await client.receive()).payload == {"status": "ok", "response": {}}
        assert await client.changes_until_now() == []
        assert [said.event for said in client.said] == ["phx_reply", "phx_reply"]


async def test_leaving_an_older_join_does_not_end_the_newer_one(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with phoenix(live) as client:
        await client.join("shop", ALL_INCOMING)
        await client.send(TOPIC, "phx_leave", {}, join_ref="of a join that timed out")
        assert (await client.next("phx_reply")).payload["status"] == "ok"
        await insert_message(writer, 12)

        assert (await client.change())["type"] == "INSERT"


async def test_joining_a_joined_topic_closes_the_old_join_and_goes_on_with_the_new_one(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with phoenix(live) as client:
        await client.join("shop", ALL_INCOMING)
        await client.system()
        await client.join("shop", {**ALL_INCOMING, "event": "DELETE"})
        closed, replied = client.said[-2:]
        await client.system()
        await insert_message(writer, 12)
        await writer.execute(f"DELETE FROM {INCOMING}")

        assert (closed.event, closed.ref, closed.join_ref) == ("phx_close", "1", "1")
        assert (replied.event, replied.ref) == ("phx_reply", "2")
        assert (await client.change())["type"] == "DELETE"
        assert await client.changes_until_now() == []


async def test_events_of_a_topic_that_is_not_joined_are_refused(shared_live: Running) -> None:
    async with phoenix(shared_live) as client:
        await client.send(TOPIC, "access_token", {"access_token": "x"}, join_ref="1")

        assert (await client.receive()).payload == {
            "status": "error",
            "response": {"reason": "unmatched topic"},
        }


@pytest.mark.parametrize("topic", ["realtime:", "shop", "phoenix"])
async def test_a_topic_without_a_name_cannot_be_joined(shared_live: Running, topic: str) -> None:
    async with phoenix(shared_live) as client:
        await client.send(topic, "phx_join", {}, join_ref="1", ref="1")

        assert (await client.receive()).payload["status"] == "error"


async def test_a_channel_without_changes_is_joined(shared_live: Running) -> None:
    async with phoenix(shared_live) as client:
        assert await client.join("shop") == {"status": "ok", "response": {"postgres_changes": []}}
        await client.changes_until_now()

        assert [said.event for said in client.said] == ["phx_reply", "phx_reply"]


MALFORMED: list[str | bytes] = [
    "",
    "not json",
    "[]",
    "[1,2,3,4,5]",
    '["1","1","t","e",null,6]',
    '["1",7,"realtime:x","access_token",[]]',
    '{"topic":7,"event":"access_token","payload":{},"ref":"1"}',
    "null",
    '"text"',
    b"",
    b"\x01\x02",
    b"\x03\xff\xff\xff\xff\xff\x01",
]


async def test_whatever_cannot_be_read_is_dropped_and_the_socket_stays(
    live: Running, caplog: pytest.LogCaptureFixture
) -> None:
    async with phoenix(live) as client:
        for frame in MALFORMED:
            await client.raw.send(frame)

        assert await client.changes_until_now() == []
        assert len(client.said) <= 2  # a broadcast of which nothing is left may be answered
        assert client.raw.close_code is None
    complaints = [line for line in caplog.records if "malformed_frame" in line.getMessage()]
    assert len(complaints) == 1


async def test_unknown_events_of_a_joined_topic_are_ignored(shared_live: Running) -> None:
    async with phoenix(shared_live) as client:
        await client.join("shop", ALL_INCOMING)
        await client.system()
        await client.send(TOPIC, "something_new", {"x": 1}, join_ref="1")
        await client.changes_until_now()

        assert [said.event for said in client.said] == ["phx_reply", "system", "phx_reply"]


def broadcast(join_ref: str, ref: str, topic: str, event: str, body: Any) -> bytes:
    """As a client of version 2.0.0 sends it."""
    fields = [text.encode() for text in (join_ref, ref, topic, event, "")]
    return bytes([3, *map(len, fields), 1]) + b"".join(fields) + json.dumps(body).encode()


async def test_broadcast_and_presence_are_refused_with_a_sentence(shared_live: Running) -> None:
    async with phoenix(shared_live) as client:
        await client.join("shop", ALL_INCOMING)
        await client.system()
        await client.raw.send(broadcast("1", "7", TOPIC, "cursor", {"x": 1}))
        reply, system = await client.receive(), await client.receive()
        await client.raw.send(broadcast("1", "8", TOPIC, "cursor", {"x": 2}))
        again = await client.receive()
        await client.send(TOPIC, "presence", {"type": "presence", "event": "track"}, join_ref="1", ref="9")
        presence = await client.receive()

    assert (reply.ref, reply.payload["status"]) == ("7", "error")
    assert "Broadcast is not served here" in reply.payload["response"]["reason"]
    assert (system.event, system.payload["extension"], system.payload["status"]) == (
        "system",
        "broadcast",
        "error",
    )
    assert (again.event, again.ref) == ("phx_reply", "8")  # the word to all is said once
    assert "Presence is not served here" in presence.payload["response"]["reason"]


async def test_version_1_says_no_to_a_broadcast_in_the_reply_alone(shared_live: Running) -> None:
    # A `system` error ends the channel of Python's client.
    async with phoenix(shared_live, vsn="1.0.0") as client:
        await client.join("shop", ALL_INCOMING)
        await client.system()
        await client.send(TOPIC, "broadcast", {"type": "broadcast", "event": "x", "payload": {}})
        await client.changes_until_now()

    assert [said.event for said in client.said] == ["phx_reply", "system", "phx_reply", "phx_reply"]
    assert client.said[2].payload["status"] == "error"


async def test_an_ended_socket_leaves_nothing_behind(live: Running) -> None:
    async with phoenix(live) as client:
        await client.join("one", ALL_INCOMING)
        await client.join("two", {"event": "*", "schema": "public"})

    await until(lambda: not roster_of(live).open, "the socket has ended")
    hub = live.gateway.live.hub
    assert not hub.is_followed(13), "none follows all inboxes"
    assert sum(hub.standings()) == 1, "the gateway's own probe follows its inbox as long as it runs"
    assert not live.gateway.websockets.supabase.greeted


async def test_frames_that_are_too_long_end_the_socket_as_they_do_elsewhere(shared_live: Running) -> None:
    async with phoenix(shared_live) as client:
        await client.raw.send("x" * 300_000)
        await client.raw.wait_closed()

    assert client.raw.close_code == 1009


async def test_a_restart_closes_with_1012_and_no_word_to_any_channel(live: Running) -> None:
    async with phoenix(live) as client:
        await client.join("shop", ALL_INCOMING)
        await client.system()
        await live.gateway.drain()
        await client.raw.wait_closed()

    assert client.raw.close_code == 1012
    assert "phx_close" not in [said.event for said in client.said]


async def _join_many(client: Phoenix, count: int) -> list[dict[str, Any]]:
    return [await client.join(f"channel {number}") for number in range(count)]


async def test_channels_and_bindings_have_a_limit(live: Running) -> None:
    async with phoenix(live) as client:
        replies = await _join_many(client, 101)
        crowd = await client.join("channel 1", *[{**ALL_INCOMING, "x": number} for number in range(101)])

    assert [reply["status"] for reply in replies] == ["ok"] * 100 + ["error"]
    assert replies[-1]["response"]["reason"].startswith("ChannelRateLimitReached")
    assert crowd["status"] == "error"
