"""Frames that come in: answered, refused with a reason, or the end of the connection."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from gateway.domain.access import Role
from tests.launcher.running import Running, Socket
from tests.postgres.writers import insert_message, insert_session
from tests.realtime.live import close_code, connection_of, events_of, pong, sluggish, until

KIB = 1024


async def test_a_ping_is_answered_with_its_ref(shared_live: Running) -> None:
    async with shared_live.socket() as socket:
        await socket.send(type="ping", ref="4")

        assert await socket.receive() == {"type": "pong", "ref": "4"}


async def test_what_is_no_json_object_ends_the_connection(shared_live: Running) -> None:
    for text in ("", "{", "subscribe", "[1]", '"ping"', "null", '{"type":"ping"}{}', "NaN"):
        async with shared_live.socket() as socket:
            await socket.raw.send(text)

            assert await close_code(socket) == 4500, text


async def test_a_binary_frame_ends_the_connection(shared_live: Running) -> None:
    async with shared_live.socket() as socket:
        await socket.raw.send(b'{"type":"ping"}')

        assert await close_code(socket) == 4500


async def test_text_that_is_not_utf8_ends_the_connection_with_1007(live: Running) -> None:
    async with sluggish(live) as client:
        client.protocol.send_text(b"\xff\xfe")
        await client.flush()
        while await client.read():
            pass

        assert client.closed == 1007


async def test_a_frame_of_256_kib_is_read_and_a_longer_one_is_not(shared_live: Running) -> None:
    async with shared_live.socket() as socket:
        head = '{"type":"ping","ref":"long","rest":"'
        await socket.raw.send(head + "x" * (256 * KIB - len(head) - 2) + '"}')
        assert (await socket.next("pong"))["ref"] == "long"

        await socket.raw.send(head + "x" * (256 * KIB) + '"}')
        assert await close_code(socket) == 1009


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "publish", "ref": "r"}, "bad_frame"),
        ({"ref": "r"}, "bad_frame"),
        ({"type": "subscribe", "ref": "r"}, "bad_frame"),
        ({"type": "subscribe", "ref": "r", "topic": 12}, "bad_frame"),
        ({"type": "subscribe", "ref": "r", "topic": "inbox:1", "after": 4}, "bad_frame"),
        ({"type": "subscribe", "ref": "r", "topic": "inbox:1", "after": {"off": "4"}}, "bad_frame"),
        ({"type": "subscribe", "ref": "r", "topic": "inbox:1", "after": {"off": True, "epoch": ""}}, "bad_frame"),
        ({"type": "subscribe", "ref": "r", "topic": "inbox:*", "after": {"off": 4, "epoch": "e"}}, "bad_frame"),
        ({"type": "subscribe", "ref": "r", "topic": "inbox:*", "after": []}, "bad_frame"),
        ({"type": "auth", "ref": "r"}, "bad_frame"),
        ({"type": "subscribe", "ref": "r", "topic": ""}, "unknown_topic"),
        ({"type": "subscribe", "ref": "r", "topic": "inbox:"}, "unknown_topic"),
        ({"type": "subscribe", "ref": "r", "topic": "inbox:-1"}, "unknown_topic"),
        ({"type": "subscribe", "ref": "r", "topic": "inbox:012"}, "unknown_topic"),
        ({"type": "subscribe", "ref": "r", "topic": "inbox:٣"}, "unknown_topic"),
        ({"type": "subscribe", "ref": "r", "topic": "inbox:1e3"}, "unknown_topic"),
        ({"type": "subscribe", "ref": "r", "topic": "inbox:" + "9" * 19}, "unknown_topic"),
        ({"type": "subscribe", "ref": "r", "topic": "session:*"}, "unknown_topic"),
        ({"type": "subscribe", "ref": "r", "topic": "session:0x1"}, "unknown_topic"),
        ({"type": "subscribe", "ref": "r", "topic": "sessions:1"}, "unknown_topic"),
        ({"type": "subscribe", "ref": "r", "topic": "Sessions"}, "unknown_topic"),
        ({"type": "unsubscribe", "ref": "r", "topic": "inbox:1"}, "not_subscribed"),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_an_error_with_the_ref(
    shared_gateway: Running, frame: dict[str, Any], code: str
) -> None:
    async with shared_gateway.socket() as socket:
        await socket.raw.send(json.dumps(frame))

        error = await socket.receive()
        assert (error["type"], error["ref"], error["code"]) == ("error", "r", code)
        assert error["message"].endswith((".", "}}."))
        assert not events_of(await pong(socket)), "the connection goes on"


async def test_an_error_does_not_repeat_a_long_frame(shared_live: Running) -> None:
    async with shared_live.socket() as socket:
        for frame in ({"type": "\0" * 40 * KIB}, {"type": "subscribe", "topic": "\0" * 40 * KIB}):
            await socket.raw.send(json.dumps(frame))
            error = await socket.next("error")
            assert len(json.dumps(error)) < 8 * KIB


async def test_a_ref_that_is_no_short_string_is_an_error(shared_gateway: Running) -> None:
    async with shared_gateway.socket() as socket:
        refs: tuple[Any, ...] = (7, "x" * 65, {})
        for ref in refs:
            await socket.send(type="ping", ref=ref)
            assert (await socket.receive())["code"] == "bad_frame"


async def test_fragments_and_control_frames_between_them_are_one_frame(shared_live: Running) -> None:
    async with shared_live.socket() as socket:

        async def fragments() -> Any:
            yield '{"type":'
            await socket.raw.ping()
            yield '"ping","ref"'
            yield ':"pieces"}'

        await socket.raw.send(fragments())
        assert (await socket.next("pong"))["ref"] == "pieces"


async def test_a_websocket_ping_is_answered(shared_live: Running) -> None:
    async with shared_live.socket() as socket:
        answered = await socket.raw.ping(b"hello")
        await answered


# ---------------------------------------------------------------------------------------------- renewal


async def renew(gateway: Running, socket: Socket, role: Role, sessions: set[int] | None) -> None:
    await socket.send(type="auth", ref="renewal", token=gateway.token(role, sessions))
    await socket.next("authenticated")


async def test_a_narrower_login_ends_the_inboxes_it_does_not_cover(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with live.socket() as socket, live.socket() as witness:
        for topic in ("inbox:7", "inbox:8", "session:8"):
            await socket.subscribe(topic)
        await witness.subscribe("inbox:8")
        await renew(live, socket, Role.ADMIN, {7})

        ended = [frame["topic"] for frame in socket.frames if frame["type"] == "unsubscribed"]
        assert ended == ["inbox:8", "session:8"]
        await insert_message(writer, 8)
        await insert_session(writer, 8)
        await witness.event("message.created")
        assert not events_of(await pong(socket))
        await insert_message(writer, 7)
        assert (await socket.event("message.created"))["topic"] == "inbox:7"


async def test_a_narrower_login_narrows_the_inbox_of_all(live: Running, writer: asyncpg.Connection) -> None:
    for number in (7, 8):
        await insert_session(writer, number)
    async with live.socket() as socket, live.socket() as witness:
        await witness.subscribe("inbox:*")
        await socket.subscribe("inbox:*")
        await renew(live, socket, Role.VIEWER, {7})
        await insert_message(writer, 8)
        await insert_message(writer, 9)
        await witness.next("event", lambda frame: frame["topic"] == "inbox:9")

        assert not events_of(await pong(socket))
        await insert_message(writer, 7)
        assert (await socket.event("message.created"))["topic"] == "inbox:7"


async def test_a_wider_login_widens_the_inbox_of_all(live: Running, writer: asyncpg.Connection) -> None:
    for number in (7, 8):
        await insert_session(writer, number)
    async with live.socket() as witness, live.socket(live.token(Role.VIEWER, {7})) as socket:
        # Whether the gateway knows both sessions by now is not what is tested here.
        for number in (7, 8):
            await witness.subscribe(f"inbox:{number}")
        assert set((await socket.subscribe("inbox:*"))["tops"]) == {"7"}
        await renew(live, socket, Role.VIEWER, {7, 8})

        again = await socket.next("subscribed")
        assert set(again["tops"]) == {"7", "8"}
        await insert_message(writer, 8)
        assert (await socket.event("message.created"))["topic"] == "inbox:8"


async def test_a_client_that_asks_on_and_on_and_never_reads_is_listened_to_no_more(live: Running) -> None:
    async with sluggish(live) as client:
        outlet = connection_of(live, client.name).transport
        questions = asyncio.create_task(client.ask(100_000), name="questions")
        await until(lambda: outlet.buffered() > 48 * KIB, "the answers pile up")
        refusals = 0

        def is_stuck() -> bool:
            nonlocal refusals
            refusals = 0 if client.can_send() else refusals + 1
            return refusals > 100 or questions.done()

        await until(is_stuck, "its own way out is full: the gateway does not listen")

        assert outlet.buffered() < 128 * KIB
        questions.cancel()


async def test_whoever_reads_again_is_listened_to_again(live: Running) -> None:
    async with sluggish(live) as client:
        outlet = connection_of(live, client.name).transport
        questions = asyncio.create_task(client.ask(2_000), name="questions")
        await until(lambda: outlet.buffered() > 48 * KIB, "the answers pile up")
        await client.next("pong", lambda frame: int(frame["ref"]) == 1999)
        await questions

        refs = [int(frame["ref"]) for frame in client.frames if frame["type"] == "pong"]
        assert refs == list(range(2_000))
