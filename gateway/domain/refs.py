"""References to messages: `in:5` is row 5 of the incoming table, `out:7` row 7 of the outgoing one."""

from dataclasses import dataclass
from typing import cast

from gateway.domain.message import Direction


@dataclass(frozen=True, slots=True)
class MessageRef:
    """One row of either table; ids are unique within their table only."""

    direction: Direction
    id: str

    def __str__(self) -> str:
        return f"{self.direction}:{self.id}"


def parse_ref(text: str) -> MessageRef | None:
    """The row that a reference names; None for any other text."""
    direction, colon, number = text.partition(":")
    if not colon or not number or direction not in ("in", "out"):
        return None
    return MessageRef(cast(Direction, direction), number)
