"""RFC 6455 on the wire: lengths, fragments, control frames, reserved bits, limits (Autobahn's cases 1 to 5 and 9)."""

import json
from typing import Any

import asyncpg
import pytest

from gateway.realtime.transport.framing import Frame
from tests.launcher.running import Running
from tests.postgres.writers import insert_message
from tests.realtime.wire import Op, Received, Wire, fragments, frame, wire

KIB = 1024
LIMIT = 256 * KIB


def ask(size: int, ref: str = "r") -> bytes:
    """A ping of our protocol that is `size` bytes long."""
    head = f'{{"type":"ping","ref":"{ref}","rest":"'.encode()
    return head + b"x" * (size - len(head) - 2) + b'"}'


async def answered(client: Wire, ref: str = "r") -> None:
    assert json.loads((await client.next(Op.TEXT)).payload) == {"type": "pong", "ref": ref}


async def test_messages_of_any_length_are_read(live: Running) -> None:
    async with wire(live) as client:
        for size in (64, 125, 126, 127, 128, 4 * KIB, 65535, 65536, 65537, LIMIT):
            await client.send(frame(Op.TEXT, ask(size, str(size))))
            await answered(client, str(size))


async def test_messages_are_read_however_they_are_cut(live: Running) -> None:
    async with wire(live) as client:
        for size, piece in ((126, 1), (300, 2), (65536, 997), (LIMIT, 1500)):
            await client.send(frame(Op.TEXT, ask(size, "cut")), piece_bytes=piece)
            await answered(client, "cut")
        several = [frame(Op.TEXT, ask(80, str(number))) for number in range(20)]
        await client.send(*several)  # in one segment
        for number in range(20):
            await answered(client, str(number))


async def test_frames_of_each_length_form_are_the_shortest_possible(
    live: Running, writer: asyncpg.Connection
) -> None:
    """`Wire.receive` fails on a length that could be shorter; these texts lie around the two limits."""
    async with wire(live) as client:
        await client.send(frame(Op.TEXT, b'{"type":"subscribe","topic":"inbox:5"}'))
        await client.next(Op.TEXT)
        await insert_message(writer, 5, message_text="")
        empty = len((await client.next(Op.TEXT)).payload)
        for size in (65535, 65536, 65537, 200 * KIB):
            text = "x" * (size - empty)
            await insert_message(writer, 5, message_text=text)
            received = await client.next(Op.TEXT)
            assert json.loads(received.payload)["data"]["message_text"] == text


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 256 * KIB])
def test_a_ready_frame_has_the_header_that_its_length_needs(size: int) -> None:
    made = Frame(b"x" * size).wire
    head = {True: 2, size > 125: 4, size > 65535: 10}[True]

    assert made[0] == 0x81
    assert len(made) == head + size
    if head == 2:
        assert made[1] == size
    else:
        assert made[1] == (126 if head == 4 else 127)
        assert int.from_bytes(made[2:head], "big") == size


async def test_pings_are_answered_with_their_payload(live: Running) -> None:
    async with wire(live) as client:
        payloads = [b"", b"hello", b"\x00\xff\xfe\xfd", b"\xfe" * 125, *(b"%d" % n for n in range(10))]
        await client.send(*(frame(Op.PING, payload) for payload in payloads))

        assert [(await client.next(Op.PONG)).payload for _ in payloads] == payloads

        await client.send(frame(Op.PING, b"\xfe" * 125), piece_bytes=1)
        assert (await client.next(Op.PONG)).payload == b"\xfe" * 125


async def test_pongs_that_nobody_asked_for_are_taken(live: Running) -> None:
    async with wire(live) as client:
        await client.send(frame(Op.PONG), frame(Op.PONG, b"unasked"), frame(Op.PING, b"there?"))

        assert await client.receive() == Received(Op.PONG, b"there?")


async def test_a_message_may_come_in_fragments_with_control_frames_between(live: Running) -> None:
    text = ask(300)
    pieces = [b"", text[:1], text[1:200], b"", text[200:], b""]
    async with wire(live) as client:
        for piece_bytes in (0, 1):
            await client.send(*fragments(Op.TEXT, pieces), piece_bytes=piece_bytes)
            await answered(client)
        parts: list[bytes] = []
        for number, part in enumerate(fragments(Op.TEXT, pieces)):
            parts += [part] if number == len(pieces) - 1 else [part, frame(Op.PING, b"%d" % number)]
        for piece_bytes in (0, 1, 7):
            await client.send(*parts, piece_bytes=piece_bytes)
            for number in range(len(pieces) - 1):
                assert await client.receive() == Received(Op.PONG, b"%d" % number)
            await answered(client)


async def test_as_long_a_message_may_come_in_many_fragments(live: Running) -> None:
    text = ask(LIMIT)
    async with wire(live) as client:
        for size in (256, 4 * KIB, 64 * KIB):
            await client.send(*fragments(Op.TEXT, [text[at : at + size] for at in range(0, LIMIT, size)]))
            await answered(client)


BROKEN: dict[str, Any] = {
    "a ping that is too long": [frame(Op.PING, b"\xfe" * 126)],
    "a ping in fragments": [frame(Op.PING, b"a", fin=False), frame(Op.CONT, b"b")],
    "a pong in fragments": [frame(Op.PONG, b"a", fin=False), frame(Op.CONT, b"b")],
    "a close in fragments": [frame(Op.CLOSE, b"\x03\xe8", fin=False)],
    "a continuation of nothing": [frame(Op.CONT, b"x")],
    "an open continuation of nothing": [frame(Op.CONT, b"x", fin=False)],
    "a continuation after the end": [*fragments(Op.TEXT, [ask(40), ask(40)[:0]]), frame(Op.CONT, b"x")],
    "a message within a message": [frame(Op.TEXT, b"{", fin=False), frame(Op.TEXT, ask(50))],
    "a binary message within a text": [frame(Op.TEXT, b"{", fin=False), frame(Op.BINARY, b"x", fin=False)],
    "a frame without a mask": [frame(Op.TEXT, ask(50), mask=False)],
    "a ping without a mask": [frame(Op.PING, b"x", mask=False)],
    "a length with its highest bit": [bytes((0x81, 0xFF)) + b"\xff" * 8 + b"mask"],
    **{f"reserved bits {rsv:03b}": [frame(Op.TEXT, ask(50), rsv=rsv)] for rsv in range(1, 8)},
    **{f"reserved bits {rsv:03b} of a ping": [frame(Op.PING, b"x", rsv=rsv)] for rsv in (1, 2, 4, 7)},
    "reserved bits of a continuation": [frame(Op.TEXT, b"{", fin=False), frame(Op.CONT, b"}", rsv=4)],
    "reserved bits of a close": [frame(Op.CLOSE, b"", rsv=4)],
    **{f"opcode {opcode}": [frame(opcode, b"x")] for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "opcode 3 without payload": [frame(3)],
    "opcode 11 within a message": [frame(Op.TEXT, b"{", fin=False), frame(11)],
}  # fmt: skip
"""What no client may send (1002), however it comes: at once, or byte by byte."""


async def test_what_breaks_the_protocol_ends_the_connection_with_1002(live: Running) -> None:
    for name, frames in BROKEN.items():
        for piece_bytes in (0, 1):
            async with wire(live) as client:
                # After something good; and whatever stands behind it is not looked at any more.
                sent = [frame(Op.PING, b"good"), *frames, frame(Op.PING, b"late")]
                await client.send(*sent, piece_bytes=piece_bytes)
                received = await client.to_the_end()

                assert received[0] == Received(Op.PONG, b"good"), name
                assert received[-1].opcode is Op.CLOSE, name
                # The length of 2^64 - 1 may be called too long or wrong.
                assert received[-1].code in ((1002, 1009) if "highest bit" in name else (1002,)), name
                assert Received(Op.PONG, b"late") not in received, name


async def test_what_is_too_long_ends_the_connection_with_1009(live: Running) -> None:
    too_long = {
        "one frame": [frame(Op.TEXT, ask(LIMIT + 1))],
        "a binary frame": [frame(Op.BINARY, b"x" * (LIMIT + 1))],
        "fragments": fragments(Op.TEXT, [ask(LIMIT), b"x"]),
        "many fragments": fragments(Op.TEXT, [b"x" * 4 * KIB for _ in range(65)]),
    }
    for name, frames in too_long.items():
        async with wire(live) as client:
            await client.send(*frames)

            assert await client.close_code() == 1009, name


async def test_a_length_is_refused_before_its_bytes_have_come(live: Running) -> None:
    for size in (LIMIT + 1, 1 << 40, (1 << 63) - 1):
        async with wire(live) as client:
            await client.send(bytes((0x81, 0xFF)) + size.to_bytes(8, "big") + b"mask")

            assert await client.close_code() == 1009, size
