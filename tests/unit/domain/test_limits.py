"""How many frames a socket may send, and where they end in what it sends."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.limits import FRAME_BYTES, FrameAllowance, FrameEnds, Limits


def frame(size: int) -> bytes:
    """A client's text frame with a payload of this size, masked with zeros."""
    if size < 126:
        head = bytes((0x81, 0x80 | size))
    elif size < 65536:
        head = bytes((0x81, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x81, 0xFF)) + size.to_bytes(8, "big")
    return head + bytes(4) + b"x" * size


@given(st.lists(st.sampled_from([0, 1, 125, 126, 700, 65535, 65536]), max_size=12), st.data())
def test_however_the_bytes_come_every_frame_is_counted_once(sizes: list[int], data: st.DataObject) -> None:
    stream = b"".join(map(frame, sizes))
    ends, counted, passed, waiting = FrameEnds(), 0, b"", b""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    for begin, end in itertools.pairwise([0, *cuts, len(stream)]):
        waiting += stream[begin:end]
        size, frames = ends.cut(waiting, 10_000)
        passed, waiting, counted = passed + waiting[:size], waiting[size:], counted + frames

    assert passed == stream
    assert waiting == b""
    assert counted == sum(1 + size // FRAME_BYTES for size in sizes)


def test_no_more_frames_are_passed_on_than_may_be() -> None:
    ends = FrameEnds()

    size, frames = ends.cut(frame(3) * 100, 7)

    assert (size, frames) == (7 * len(frame(3)), 7)


def test_the_rest_of_a_frame_that_has_begun_is_passed_on_when_no_other_may_begin() -> None:
    ends, one = FrameEnds(), frame(100)
    ends.cut(one[:50], 1)

    assert ends.cut(one[50:] + one, 0) == (len(one) - 50, 0)


def test_a_socket_begins_with_a_large_allowance_and_goes_on_with_a_small_one() -> None:
    allowance = FrameAllowance(Limits(), now=0.0)

    assert allowance.left(1000.0) == 2500
    allowance.take(2500)
    assert allowance.left(1001.0) == 50
    assert allowance.left(1100.0) == 200
