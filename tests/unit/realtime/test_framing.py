"""Ready frames are valid WebSocket frames, and none is longer than promised."""

import orjson
import pytest
from websockets.frames import Opcode
from websockets.protocol import CLIENT, Protocol

from gateway.realtime.transport.framing import MAX_FRAME_BYTES, Burst, Frame, frame


def parsed(wire: bytes) -> list[bytes]:
    """What a client's parser makes of these bytes: the texts, in order."""
    client = Protocol(CLIENT, max_size=None)
    client.receive_data(wire)
    texts = []
    for event in client.events_received():
        assert event.opcode is Opcode.TEXT  # type: ignore[union-attr]
        assert event.fin  # type: ignore[union-attr]
        texts.append(bytes(event.data))  # type: ignore[union-attr]
    assert client.close_expected() is False
    return texts


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 300_000])
def test_a_frame_of_any_length_is_what_a_parser_expects(size: int) -> None:
    text = b"x" * size
    ready = Frame(text)

    assert parsed(ready.wire) == [text]
    assert len(ready) == len(ready.wire)


def test_a_burst_is_its_frames_one_after_the_other() -> None:
    frames = [Frame(b"x" * size) for size in (3, 126, 65536, 0)]
    burst = Burst(frames)

    assert parsed(burst.wire) == [item.text for item in frames]
    assert len(burst) == sum(len(item) for item in frames)


def test_a_burst_of_one_frame_copies_nothing() -> None:
    single = Frame(b"{}")

    assert Burst([single]).wire is single.wire


def test_a_message_that_fits_says_nothing_of_truncation() -> None:
    message = {"type": "event", "data": {"text": "x" * 200_000}}

    assert orjson.loads(frame(message).text) == message


@pytest.mark.parametrize("text", ["x" * 300_000, "\x01" * 100_000, "ä" * 200_000, "\U0001f600" * 100_000])
def test_the_longest_values_make_way_until_the_frame_fits(text: str) -> None:
    message = {"type": "event", "off": 1, "data": {"long": text, "short": "hello", "number": 7}}
    ready = frame(message)

    assert len(ready.text) <= MAX_FRAME_BYTES
    assert orjson.loads(ready.text) == {
        "type": "event",
        "off": 1,
        "data": {"long": None, "short": "hello", "number": 7},
        "truncated": ["long"],
    }


def test_many_values_that_only_together_are_too_long_make_a_frame_that_fits() -> None:
    data = {f"column {number:02}": "x" * 10_000 for number in range(100)}
    ready = frame({"type": "event", "data": data})

    assert MAX_FRAME_BYTES - 12_000 < len(ready.text) <= MAX_FRAME_BYTES
    message = orjson.loads(ready.text)
    assert message["truncated"] == sorted(key for key, value in message["data"].items() if value is None)


def test_a_frame_at_the_limit_is_whole_and_one_byte_more_is_not() -> None:
    def sized(size: int) -> bytes:
        empty = orjson.dumps({"data": {"text": ""}})
        return frame({"data": {"text": "x" * (size - len(empty))}}).text

    assert len(sized(MAX_FRAME_BYTES)) == MAX_FRAME_BYTES
    assert b"truncated" in sized(MAX_FRAME_BYTES + 1)
