"""What parts tell each other: in which order it is heard, and that nothing is told to no one."""

from dataclasses import fields

from gateway.services.signals import Signal, Signals


def test_a_signal_calls_everything_connected_in_the_order_of_connecting() -> None:
    heard: list[str] = []
    signal: Signal[[str]] = Signal()
    signal.connect(lambda word: heard.append(f"first {word}"), lambda word: heard.append(f"second {word}"))
    signal.connect(lambda word: heard.append(f"third {word}"))

    signal("12")

    assert heard == ["first 12", "second 12", "third 12"]


def test_a_signal_that_nothing_is_connected_to_may_be_raised() -> None:
    Signals().cut_off()


def test_whoever_hears_again_is_told_that_everything_moved_before_it_hears() -> None:
    signals, heard = Signals(), list[str]()
    for name in ("left_unnumbered", "inboxes_moved", "sessions_moved", "keys_moved", "access_moved"):
        getattr(signals, name).connect(lambda payload, name=name: heard.append(f"{name} {payload}"))
    signals.listening.connect(lambda: heard.append("listening"))

    signals.hear_again()

    assert heard == [
        "left_unnumbered *", "inboxes_moved *", "sessions_moved *", "keys_moved *", "access_moved *", "listening",
    ]  # fmt: skip


def test_two_gateways_of_one_process_share_no_signal() -> None:
    one, other = Signals(), Signals()
    one.cut_off.connect(print)

    assert not any(getattr(other, field.name).is_heard for field in fields(Signals))
