"""What this gateway commits itself: published where it follows, and its notification read where it was not."""

from gateway.domain.streams import Event, Extent, Inbox, OwnWrite
from gateway.services.live.own_writes import OwnWrites

WRITER, OTHER = 71, 72


def write(top: int = 1) -> OwnWrite:
    inbox = Inbox(12)
    return OwnWrite(inbox, Extent(top, 0, "e"), [Event(inbox, top, "t", "INSERT", "", {}, {})])


class House:
    """Own writes before a hub that takes them or not."""

    def __init__(self, *, follows: bool = True) -> None:
        self.follows = follows
        self.published: list[int] = []
        self.read: list[str] = []
        self.writes = OwnWrites(self._publish, self.read.append)

    def _publish(self, written: OwnWrite) -> bool:
        if self.follows:
            self.published.append(written.extent.top)
        return self.follows


def test_a_write_is_published_and_its_notification_read_by_nobody() -> None:
    house = House()
    house.writes.begin(WRITER)
    house.writes.end(WRITER, write())
    house.writes.heard("012", WRITER)

    assert (house.published, house.read) == ([1], [])


def test_a_notification_that_comes_before_the_write_returns_is_held_back() -> None:
    house = House()
    house.writes.begin(WRITER)
    house.writes.heard("012", WRITER)
    assert house.read == []
    house.writes.end(WRITER, write())

    assert (house.published, house.read) == ([1], [])
    house.writes.heard("012", WRITER)  # of the next write of that connection, which nobody has told us of
    assert house.read == ["012"]


def test_what_does_not_follow_is_read() -> None:
    house = House(follows=False)
    house.writes.begin(WRITER)
    house.writes.heard("012", WRITER)
    house.writes.end(WRITER, write())
    house.writes.begin(WRITER)
    house.writes.end(WRITER, write(2))
    house.writes.heard("012", WRITER)

    assert (house.published, house.read) == ([], ["012", "012"])


def test_a_write_that_failed_or_brought_nothing_back_is_read() -> None:
    """It may be committed all the same: its connection broke, or it ran out of time."""
    house = House()
    house.writes.begin(WRITER)
    house.writes.heard("012", WRITER)
    house.writes.end(WRITER, None)
    house.writes.heard("012", WRITER)

    assert (house.published, house.read) == ([], ["012", "012"])


def test_another_gateways_write_is_read() -> None:
    house = House()
    house.writes.begin(WRITER)
    house.writes.heard("012", OTHER)
    house.writes.end(WRITER, write())
    house.writes.heard("012", OTHER)

    assert house.read == ["012", "012"]


def test_two_writes_of_one_connection_in_a_row_expect_two_notifications() -> None:
    house = House()
    for top in (1, 2):
        house.writes.begin(WRITER)
        house.writes.end(WRITER, write(top))
    for _ in range(3):
        house.writes.heard("012", WRITER)

    assert (house.published, house.read) == ([1, 2], ["012"])


def test_after_notifications_were_lost_none_is_expected() -> None:
    house = House()
    house.writes.begin(WRITER)
    house.writes.end(WRITER, write())
    house.writes.forget()
    house.writes.heard("012", WRITER)

    assert house.read == ["012"]
