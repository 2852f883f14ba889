"""Typing is shown to the customer at most once per ten seconds, however often it is told to begin and to end."""

from typing import Any, cast

from gateway.services.sending.outbox import Outbox
from gateway.services.sending.ports import Preparation


class Calls:
    def __init__(self) -> None:
        self.shown: list[tuple[str, bool]] = []

    async def show_typing(self, api_key: str, jid: str, is_typing: bool) -> None:
        self.shown.append((jid, is_typing))


class Keys:
    async def key_of(self, session_id: int, *, fresh: bool) -> str:
        return "key"


async def test_beginning_and_ending_in_turns_asks_upstream_once() -> None:
    calls = Calls()
    nothing = cast(Any, None)
    outbox = Outbox(nothing, cast(Any, calls), cast(Preparation, Keys()), nothing, lambda: 0.0)

    for is_typing in (True, False, True, False, True):
        await outbox.show_typing(12, "ann", is_typing=is_typing)
    await outbox.show_typing(12, "bob", is_typing=False)

    assert calls.shown == [("ann", True)]
