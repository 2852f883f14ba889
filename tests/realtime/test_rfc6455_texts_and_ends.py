"""RFC 6455 on the wire: UTF-8 and the closing handshake (Autobahn's cases 6 and 7)."""

import asyncio
import json

import asyncpg
import pytest

from tests.launcher.running import Running
from tests.postgres.writers import insert_message
from tests.realtime.live import until
from tests.realtime.wire import Op, Received, close_frame, fragments, frame, wire

GOOD_TEXTS = [
    "κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\ufffe",
    "\U00010000", "\U0010ffff", "\U0001f600 👩‍👩‍👧‍👦", "\ufdd0", "\u2028",
]  # fmt: skip

BAD_TEXTS = {
    "a continuation byte alone": b"\x80",
    "the last continuation byte alone": b"\xbf",
    "a two-byte start alone": b"\xc2",
    "two bytes of three": b"\xe2\x82",
    "three bytes of four": b"\xf0\x9f\x98",
    "a start before a space": b"\xe2 ",
    "an overlong slash of two bytes": b"\xc0\xaf",
    "an overlong slash of three bytes": b"\xe0\x80\xaf",
    "an overlong slash of four bytes": b"\xf0\x80\x80\xaf",
    "an overlong null": b"\xc0\x80",
    "a high surrogate": b"\xed\xa0\x80",
    "a low surrogate": b"\xed\xbf\xbf",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "a five-byte start": b"\xf8\x88\x80\x80\x80",
    "a six-byte start": b"\xfc\x84\x80\x80\x80\x80",
    "0xFE": b"\xfe",
    "0xFF": b"\xff",
}


async def test_every_text_is_understood_wherever_it_is_cut(live: Running) -> None:
    async with wire(live) as client:
        for text in GOOD_TEXTS:
            whole = json.dumps({"type": "ping", "ref": text}, ensure_ascii=False).encode()
            asked = [
                [frame(Op.TEXT, whole)],
                fragments(Op.TEXT, [whole[at : at + 1] for at in range(len(whole))]),
            ]
            for frames in asked:
                await client.send(*frames)
                answer = json.loads((await client.next(Op.TEXT)).payload)
                assert answer == {"type": "pong", "ref": text}


async def test_text_that_is_not_utf8_ends_the_connection_with_1007(
    live: Running, caplog: pytest.LogCaptureFixture
) -> None:
    for name, bad in BAD_TEXTS.items():
        whole = b'{"type":"ping","ref":"' + bad + b'"}'
        asked = {
            "one frame": [frame(Op.TEXT, whole)],
            "fragments": fragments(Op.TEXT, [whole[:22], whole[22:23], whole[23:]]),
            "nothing else": [frame(Op.TEXT, bad)],
        }
        for way, frames in asked.items():
            async with wire(live) as client:
                await client.send(*frames)

                assert await client.close_code() == 1007, (name, way)

    # Strangers may send as many as they like; uvicorn's own class (plain ASGI) writes a traceback for each.
    ours = [record for record in caplog.records if record.name.startswith("gateway.")]
    assert [record.getMessage() for record in ours if record.exc_info] == []


async def test_a_client_that_leaves_has_no_line_in_the_log_and_one_that_is_closed_has(
    live: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "gateway.realtime")
    for code in (1000, 1001, 4000):
        async with wire(live) as client:
            await client.send(close_frame(code, b""))
            await client.close_code()
    async with wire(live) as client:
        await client.send(frame(Op.TEXT, b"no json"))
        await client.close_code()

    def levels() -> dict[str, str]:
        ends = [record for record in caplog.records if record.getMessage().startswith("connection.closed")]
        return {record.getMessage().partition("code=")[2].split()[0]: record.levelname for record in ends}

    await until(lambda: len(levels()) == 4, "the ends in the log")
    assert levels() == {"1000": "DEBUG", "1001": "DEBUG", "4000": "INFO", "4500": "INFO"}


async def test_a_close_is_answered_with_its_code(live: Running) -> None:
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        async with wire(live) as client:
            await client.send(close_frame(code, b"bye \xe2\x82\xac"))

            assert await client.close_code() == code
    async with wire(live) as client:
        await client.send(close_frame())
        assert await client.to_the_end() == [Received(Op.CLOSE, b"")]
    async with wire(live) as client:
        await client.send(close_frame(1000, b"*" * 123))
        assert await client.close_code() == 1000


async def test_nothing_after_a_close_is_looked_at(live: Running) -> None:
    async with wire(live) as client:
        ping = frame(Op.TEXT, b'{"type":"ping"}')
        await client.send(close_frame(1000), frame(Op.PING, b"late"), ping, close_frame(1001), b"\xff" * 50)

        (only,) = await client.to_the_end()
        assert (only.opcode, only.code) == (Op.CLOSE, 1000)


async def test_a_close_between_fragments_ends_the_connection(live: Running) -> None:
    async with wire(live) as client:
        await client.send(
            frame(Op.TEXT, b'{"type":', fin=False), close_frame(1000), frame(Op.CONT, b'"ping"}')
        )

        (only,) = await client.to_the_end()
        # Answered, or called an error for the sake of the message that will never be whole.
        assert (only.opcode, only.code) in ((Op.CLOSE, 1000), (Op.CLOSE, 1002))


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
async def test_a_close_with_a_code_that_may_not_be_sent_is_an_error(gateway: Running, code: int) -> None:
    async with wire(gateway) as client:
        await client.send(close_frame(code))

        assert await client.close_code() == 1002


async def test_a_broken_close_is_an_error(live: Running) -> None:
    broken = {
        "one byte": (frame(Op.CLOSE, b"\x03"), {1002}),
        "a reason that is too long": (close_frame(1000, b"*" * 124), {1002}),
        "a reason that is no text": (close_frame(1000, b"\xce\xba\xff"), {1002, 1007}),
    }
    for name, (bad, codes) in broken.items():
        async with wire(live) as client:
            await client.send(bad)

            assert await client.close_code() in codes, name


async def test_an_end_without_a_handshake_leaves_nothing_behind(live: Running) -> None:
    async with wire(live) as client:
        await client.send(frame(Op.TEXT, b'{"type":', fin=False)[:3])
        client.transport.abort()
    async with wire(live) as client:
        await client.send(frame(Op.PING, b"still there"))
        assert (await client.next(Op.PONG)).payload == b"still there"


async def test_control_frames_go_between_events_and_never_into_one(
    live: Running, writer: asyncpg.Connection
) -> None:
    """Hand-made frames and the library's own share one transport; `Wire.receive` fails if one cuts the other."""
    async with wire(live) as client:
        await client.send(frame(Op.TEXT, b'{"type":"subscribe","topic":"inbox:5"}'))
        await client.next(Op.TEXT)
        insert = asyncio.create_task(_insert_many(writer, 40))
        for number in range(200):
            await client.send(frame(Op.PING, b"%d" % number))
            await asyncio.sleep(0)
        texts: list[bytes] = []
        pongs: list[bytes] = []
        while len(texts) < 40 or len(pongs) < 200:
            received = await client.receive()
            assert received is not None
            (texts if received.opcode is Op.TEXT else pongs).append(received.payload)
        await insert

        assert [json.loads(text)["off"] for text in texts] == list(range(1, 41))
        assert pongs == [b"%d" % number for number in range(200)]


async def _insert_many(writer: asyncpg.Connection, count: int) -> None:
    for number in range(count):
        await insert_message(writer, 5, message_text="x" * (number * 400))


async def test_no_event_follows_a_close_frame(live: Running, writer: asyncpg.Connection) -> None:
    async with wire(live) as client:
        await client.send(frame(Op.TEXT, b'{"type":"subscribe","topic":"inbox:5"}'))
        await client.next(Op.TEXT)
        await client.send(frame(Op.BINARY, b"not allowed"))
        closing = asyncio.create_task(client.to_the_end())
        for _ in range(5):
            await insert_message(writer, 5)
        await client.send(close_frame(4500))
        received = await closing

        assert received[-1].code == 4500
        assert [item.opcode for item in received].count(Op.CLOSE) == 1
