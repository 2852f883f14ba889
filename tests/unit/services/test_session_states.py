"""States: the newest value of each part, with versions that grow and values that expire."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.errors import UpstreamFailed
from gateway.services.live.state_values import ENDED_SHOWN_S, StateRow
from tests.unit.services.states_fakes import House, attempt, session


@pytest.fixture
def house() -> House:
    return House()


async def test_a_value_of_now_is_there_after_opening(house: House) -> None:
    house.store.put(4, session(), attempt())
    await house.states.open()

    part, link = house.values(7)
    assert (part.part, part.event, part.version) == ("session", "session.status", 4)
    assert (link.part, link.event, link.version) == ("link", "session.qr", 4)
    assert house.transport.published == [], "nothing has changed"


async def test_the_list_has_one_part_of_each_and_none_that_is_gone(house: House) -> None:
    house.store.put(1, session(9), number=9)
    house.store.put(1, session(7), attempt(), number=7)
    house.store.put(1, session(8, status="gone"), number=8)
    await house.states.open()

    assert [(value.session_id, value.part) for value in house.values()] == [
        (7, "session"),
        (9, "session"),
    ]


async def test_a_bell_names_what_changed(house: House) -> None:
    house.store.put(1, session())
    async with house.running():
        rows = [
            session(name="Other"),
            session(name="Other", status="expired"),
            session(name="Again", status="connected"),
        ]
        for version, row in enumerate(rows, start=2):
            house.store.put(version, row)
            house.states.notify("7")
            await house.transport.has(version - 1)
        house.store.put(5)
        house.states.notify("7")
        await house.transport.has(4)
        house.store.put(6, session())
        house.states.notify("7")
        await house.transport.has(5)

    assert house.transport.events() == [
        ("session.updated", 2),
        ("session.status", 3),
        ("session.status", 4),
        ("session.deleted", 5),
        ("session.created", 6),
    ]
    assert house.changed == [7] * 5


async def test_what_was_only_checked_is_no_news_but_is_shown(house: House) -> None:
    house.store.put(1, session())
    async with house.running():
        checked = datetime.now(UTC)
        house.store.put(1, session(checked_at=checked, source="poll"))
        house.states.notify("7")
        house.store.put(1, session(9), number=9)
        house.states.notify("9")
        await house.transport.has(1)

        assert house.transport.events() == [("session.created", 1)]
        (value,) = house.values(7)
        assert value.data is not None
        assert (value.data["source"], value.data["stale"]) == ("poll", False)


async def test_a_version_that_was_passed_over_is_corrected_for_clients_that_saw_it_elsewhere(
    house: House,
) -> None:
    house.store.put(1, session(status="connected"), attempt())
    async with house.running():
        # Version 2 said `need_scan`. A client heard it from another gateway, and is here now.
        house.store.put(3, session(status="connected"), attempt())
        house.states.notify("7")
        await house.transport.has(2)

    assert house.transport.events() == [("session.updated", 3), ("session.qr", 3)]


async def test_an_older_snapshot_changes_nothing(house: House) -> None:
    house.store.put(5, session(name="new"))
    async with house.running():
        house.store.put(4, session(name="old"))
        house.states.notify("7")
        house.store.put(1, session(9), number=9)
        house.states.notify("9")
        await house.transport.has(1)

        assert house.transport.published[0].session_id == 9
        held = house.states.session(7)
        assert held is not None
        assert held.name == "new"


async def test_a_new_code_is_drawn_once_and_only_for_those_who_watch(house: House) -> None:
    house.store.put(1, session())
    house.transport.watched.clear()
    async with house.running():
        house.store.put(2, session(status="need_scan"), attempt(code="2@a"))
        house.states.notify("7")
        await house.transport.has(1)
        assert house.drawn == []

        house.transport.watched.add("session:7")
        house.store.put(3, session(status="need_scan"), attempt(code="2@b"))
        house.states.notify("7")
        await house.transport.has(2)
        for _ in range(3):
            house.values(7)

    assert house.drawn == ["2@b"]
    (code,) = [value for value in house.transport.published if value.part == "link"]
    assert code.data is not None
    assert (code.data["qrCode"], code.data["qr_code"]) == ("2@b", "picture of 2@b")
    assert (code.data["seq"], code.data["attempt"], code.data["max_attempts"]) == (3, 1, 6)


async def test_a_code_that_cannot_be_drawn_is_still_told(house: House) -> None:
    def fail(code: str) -> str:
        raise UpstreamFailed("too long to draw")

    house.draw = fail  # type: ignore[method-assign]
    house.store.put(1, session(), attempt())
    await house.states.open()

    link = house.values(7)[1]
    assert link.data is not None
    assert (link.data["qrCode"], link.data["qr_code"]) == ("2@a", None)


async def test_an_expired_code_is_no_value(house: House) -> None:
    house.store.put(1, session(), attempt(expires_at=time.time() - 0.001))
    await house.states.open()

    assert [value.part for value in house.values(7)] == ["session"]


async def test_an_attempt_without_a_code_yet_is_no_value_and_hides_the_end_of_the_last(house: House) -> None:
    house.store.put(1, session(), attempt(ended_at=time.time(), reason="timeout", code=None))
    async with house.running():
        ended = house.values(7)[1]
        assert (ended.event, ended.data) == ("session.link_ended", {"reason": "timeout", "error": None})

        house.store.put(2, session(name="x"), attempt(id=2, code=None, seq=None, number=0))
        house.states.notify("7")
        await house.transport.has(1)
        assert [value.part for value in house.values(7)] == ["session"]

        house.store.put(3, session(name="x"), attempt(id=2, code="2@c"))
        house.states.notify("7")
        await house.transport.has(2)
        assert house.values(7)[1].event == "session.qr"


async def test_the_end_of_an_attempt_is_shown_for_ten_minutes(house: House) -> None:
    ended = time.time() - ENDED_SHOWN_S
    house.store.put(1, session(), attempt(ended_at=ended + 5, reason="cancelled"))
    house.store.put(1, session(8), attempt(8, ended_at=ended - 1, reason="cancelled"), number=8)
    await house.states.open()

    link = house.values(7)[1]
    assert link.expires_at == pytest.approx(ended + 5 + ENDED_SHOWN_S)
    assert [value.part for value in house.values(8)] == ["session"]


async def test_a_session_that_the_tick_does_not_find_any_more_was_deleted(house: House) -> None:
    house.store.put(3, session())
    async with house.running():
        house.store.put(4, None)
        house.states.notify("*")
        await house.transport.has(1)
        house.states.notify("*")
        house.store.put(1, session(9), number=9)
        house.states.notify("9")
        await house.transport.has(2)

    assert house.transport.events() == [("session.deleted", 4), ("session.created", 1)]
    assert house.values(7) == []


async def test_a_session_that_a_look_at_everything_overlooks_is_not_taken_for_deleted(house: House) -> None:
    house.store.put(3, session())
    async with house.running():
        overlooked = house.store.rows.pop(7)
        reading = house.store.read_states

        async def read_states(ids: Sequence[int] | None) -> list[StateRow]:
            rows = await reading(ids)
            house.store.rows[7] = overlooked  # it was made while the list was read
            return rows

        setattr(house.store, "read_states", read_states)  # noqa: B010
        house.states.notify("*")
        house.store.put(1, session(9), number=9)
        await house.transport.has(1)

    assert house.transport.events() == [("session.created", 1)]
    assert [value.session_id for value in house.values(7)] == [7]


async def test_after_a_failure_what_was_rung_is_read(house: House) -> None:
    async with house.running():
        house.store.failures = 1
        house.store.put(1, session())
        house.states.notify("7")
        await house.transport.has(1)

    assert house.store.asked == [None, [7], [7]]


@pytest.mark.parametrize("payload", ["", "*", "x", "7,", "-7", "9" * 19, "٣"])
async def test_a_bell_that_cannot_be_read_means_all(house: House, payload: str) -> None:
    async with house.running():
        house.store.put(1, session())
        house.states.notify(payload)
        await house.transport.has(1)

    assert house.store.asked == [None, None]


async def test_a_session_created_a_moment_ago_is_looked_for(house: House) -> None:
    await house.states.open()
    house.store.put(1, session())
    await house.states.see(7)
    await house.states.see(7)

    assert len(house.values(7)) == 1
    assert house.store.asked == [None, [7]], "once"


async def test_asking_for_numbers_that_are_no_sessions_keeps_nothing(house: House) -> None:
    await house.states.open()
    for number in range(100, 200):
        await house.states.see(number)

    assert house.states._rows == {}
    assert house.changed == []


async def test_a_status_is_dated_by_its_last_sign_and_never_ahead_of_now(house: House) -> None:
    now = datetime.now(UTC)
    house.store.put(1, session(checked_at=now - timedelta(minutes=9), updated_at=now - timedelta(minutes=1)))
    house.store.put(1, session(8, updated_at=now + timedelta(hours=5)), number=8)
    await house.states.open()

    first, second = (datetime.fromisoformat(house.values(number)[0].at) for number in (7, 8))
    assert first == now - timedelta(minutes=1)
    assert now <= second < now + timedelta(minutes=1)
