"""The oracle sees what it is there to see: each fault a gateway could make, made by hand."""

from typing import Any

import pytest

from tests.faults.browser import Browser
from tests.faults.ledger import Ledger, Restore
from tests.faults.oracle import Staleness

POSITION = {"off": 0, "epoch": "one"}


def row(number: int) -> dict[str, Any]:
    empty = dict.fromkeys(("message_type", "chat", "reactions", "status"))
    return {**empty, "message_id": f"K{number}", "message_text": f"text {number}", "is_read": False}


def event(off: int, number: int | None = None) -> dict[str, Any]:
    number = off if number is None else number
    data = {**row(number), "id": str(number), "direction": "in"}
    return {"type": "event", "topic": "inbox:7", "off": off, "event": "message.created", "data": data}


def truth(count: int) -> Staleness:
    numbers = range(1, count + 1)
    stream = {7: [(number, "message.created", f"K{number}") for number in numbers]}
    return Staleness({7: count}, stream, {(7, "in", str(number)): row(number) for number in numbers}, {})


def complaints_after(*frames: dict[str, Any], true: Staleness) -> list[str]:
    browser = Browser("b", lambda: "", "", after={7: POSITION})
    for frame in frames:
        if frame["type"] == "event":
            browser._take_event(frame)
        else:
            browser._take_subscribed(frame)
    return true.complaints_about(browser, [7], rows=True)


def test_whoever_shows_what_is_true_is_not_complained_about() -> None:
    assert complaints_after(event(1), event(2), true=truth(2)) == []


@pytest.mark.parametrize(
    ("frames", "complaint"),
    [
        ([event(1), event(3)], "a gap"),
        ([event(2), event(1), event(2)], "a gap"),
        ([event(1), event(1), event(2)], "1 came after 1 on one connection"),
        ([event(1)], "1 events of 2"),
        ([event(1), event(2, 9)], "K9"),
        ([event(1), event(2), event(3)], "3 events of 2"),
        ([event(1), {"type": "subscribed", "topic": "inbox:7", "off": 2, "epoch": "one"}], "subscribed at 2"),
    ],
)
def test_gaps_doubles_and_wrong_orders_are_seen(frames: list[dict[str, Any]], complaint: str) -> None:
    assert complaint in "\n".join(complaints_after(*frames, true=truth(2)))


def test_lost_and_ghostly_rows_are_seen() -> None:
    ledger = Ledger(fates={"K1": "kept", "K2": "gone", "K3": "kept", "K4": "unsure"})

    assert truth(2).complaints(ledger) == [
        "acknowledged and not stored: K3",
        "rolled back or deleted, and stored: K2",
    ]


def test_a_stream_with_a_hole_is_seen() -> None:
    true = truth(3)
    del true.stream[7][1]

    assert true.complaints(Ledger()) == ["the stream of inbox 7 has gaps: top 3, 2 events"]


def test_acknowledged_order_is_held_against_the_stream() -> None:
    assert truth(2).complaints(Ledger(chains=[["K1", "K2"]])) == []
    assert "not in the order" in truth(2).complaints(Ledger(chains=[["K2", "K1"]]))[0]


def restore(*keys: str, dumped_at: float = 10.0, dropped_at: float = 20.0) -> Restore:
    return Restore(dumped_at, frozenset(keys), frozenset(), dropped_at)


@pytest.mark.parametrize(
    ("key", "began", "complaint"),
    [
        ("K1", 5.0, []),  # in the dump, and stored
        ("K3", 15.0, []),  # acknowledged between dump and restore: the operator's choice
        ("K3", 25.0, ["acknowledged and not stored: K3"]),
    ],
)
def test_a_restore_excuses_what_was_acknowledged_between_and_nothing_else(
    key: str, began: float, complaint: list[str]
) -> None:
    ledger = Ledger(restores=[restore("K1", "K2")])
    ledger.note(key, "kept", began)

    assert truth(2).complaints(ledger) == complaint


def test_what_the_dump_holds_maycome_back_although_it_was_deleted_afterwards() -> None:
    ledger = Ledger(restores=[restore("K1")])
    ledger.note("K1", "gone")
    ledger.note("K2", "gone")

    assert truth(2).complaints(ledger) == ["rolled back or deleted, and stored: K2"]


@pytest.mark.parametrize(
    ("resets", "complaints"),
    [
        ([("epoch_changed", "true")], 0),
        ([("epoch_changed", "two"), ("epoch_changed", "true")], 1),
        ([("offset_unknown", "true")], 1),
        ([("gap", "true")], 1),
        # The client's own, which was cut off before it was told the epoch.
        ([("epoch_unknown", None), ("epoch_changed", "true")], 0),
        ([("offset_expired", "true")], 1),
        ([("epoch_changed", "two")], 1),  # it is not what the table says
    ],
)
def test_a_restore_causes_one_reset_into_the_history_that_is(
    resets: list[tuple[str, str | None]], complaints: int
) -> None:
    browser = Browser("b", lambda: "", "", after={7: POSITION})
    for reason, epoch in resets:
        browser.take_reset({"topic": "inbox:7", "reason": reason, "off": 0, "epoch": epoch})
        browser.unloaded.clear()
    true = truth(0)
    true.epochs = {7: "true"}

    assert len(true.complaints_about(browser, [7], rows=True, restores=1)) == complaints


def test_a_client_that_was_not_told_the_epoch_begins_anew() -> None:
    browser = Browser("b", lambda: "", "", after={})
    browser._take_event(event(1, 9))
    browser._take_event(event(2, 8))
    browser.come_back()
    assert browser.complaints == []
    for number in (1, 2):
        browser._take_event(event(number))
    browser._take_subscribed({"topic": "inbox:7", "off": 2, "epoch": "one"})

    assert truth(2).complaints_about(browser, [7], rows=True) == []
    browser.come_back()
    assert browser.offs == {7: 2}


def test_a_restore_may_reset_once_also_with_a_dump_that_is_older_than_another() -> None:
    assert Ledger(restores=[restore(), restore(dumped_at=15.0, dropped_at=30.0)]).resets_allowed == 2
