"""A story's facts see what they are there to see."""

from typing import Any

import pytest

from tests.faults.stories import Fact, Person, Stories, Story


def row(key: str = "K", author: str | None = "49151", **more: Any) -> dict[str, Any]:
    chat = {"chat": "49151@s.whatsapp.net", "message_text": "as written", "reactions": None}
    return {"inbox": 1, "wa_key_id": key, "author": author, **chat, **more}


TOLD = Stories(
    [
        Story([], [Fact(1, "K", "49151", {"message_text": "as written", "reactions": None})]),
        Story([], persons=[Person(1, ("K", "L"), "49151@s.whatsapp.net")]),
    ]
)


def test_what_is_so_is_not_complained_about() -> None:
    assert TOLD.complaints([row(), row("L", None)]) == []


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([row(message_text="forged"), row("L")], "'forged', not 'as written'"),
        ([row(reactions=[{"emoji": "👍", "by": "49151"}]), row("L")], "reactions is"),
        ([row(author="49152"), row("L")], "0 rows"),
        ([row(), row(), row("L")], "2 rows"),
        ([row(), row("L", chat="77@lid")], "77@lid"),
        ([row()], "1 of 2 messages"),
    ],
)
def test_what_is_not_so_is_seen(rows: list[dict[str, Any]], complaint: str) -> None:
    assert complaint in "\n".join(TOLD.complaints(rows))
