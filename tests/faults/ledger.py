"""What writers know of their own writes: what must be there, what must not, and what cannot be told."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Fate = Literal["kept", "gone", "unsure"]
OVER = "restore over the tables begun"
"""An event. The exclusive locks of such a restore let Postgres end a writer's transaction instead of the restore."""
"""Acknowledged or committed; rolled back or deleted; the answer was lost on its way."""


@dataclass(frozen=True, slots=True)
class Restore:
    """The database became what it was when a dump of it was made. Times are those of the monotonic clock."""

    dumped_at: float
    """Just before the dump's snapshot."""

    keys: frozenset[str]
    """Messages from customers in that snapshot."""

    true_stories: frozenset[int]
    """Places of the stories that were so in that snapshot."""

    dropped_at: float
    """From here on nothing was committed to the database that went."""


@dataclass
class Ledger:
    fates: dict[str, Fate] = field(default_factory=dict)
    """By WhatsApp's id of the message."""
    chains: list[list[str]] = field(default_factory=list)
    """Ids of one inbox of which each was acknowledged before the next was sent: they keep this order."""
    restores: list[Restore] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    """How often what happened, for the figures."""
    _times: dict[str, tuple[float, float]] = field(default_factory=dict)
    """When the write began that decided a fate, and when the fate was known."""

    def note(self, key: str, fate: Fate, began: float | None = None) -> None:
        now = time.monotonic()
        self.fates[key] = fate
        self._times[key] = (now if began is None else began, now)

    def new_chain(self) -> list[str]:
        chain: list[str] = []
        self.chains.append(chain)
        return chain

    def count(self, fate: Fate) -> int:
        return sum(1 for known in self.fates.values() if known == fate)

    def kept_before(self, moment: float) -> set[str]:
        """What was acknowledged by then."""
        return {
            key
            for key, fate in self.fates.items()
            if fate == "kept" and self._times[key][1] < moment and not self._is_lost_by_restore(key)
        }

    @property
    def resets_allowed(self) -> int:
        """How often a client may be reset per inbox: once for each restore."""
        return len(self.restores)

    def complaints(self, stored: set[str]) -> list[str]:
        """What the table has although it must not, and what it lacks."""
        lost = sorted(
            key
            for key, fate in self.fates.items()
            if fate == "kept" and key not in stored and not self._is_lost_by_restore(key)
        )
        ghosts = sorted(
            key
            for key, fate in self.fates.items()
            if fate == "gone" and key in stored and not self._is_back_by_restore(key)
        )
        found = [f"acknowledged and not stored: {key}" for key in lost]
        return found + [f"rolled back or deleted, and stored: {key}" for key in ghosts]

    def _is_lost_by_restore(self, key: str) -> bool:
        began, _ = self._times.get(key, (0.0, 0.0))
        return any(key not in one.keys and began < one.dropped_at for one in self.restores)

    def _is_back_by_restore(self, key: str) -> bool:
        _, known = self._times.get(key, (0.0, 0.0))
        return any(key in one.keys and known > one.dumped_at for one in self.restores)


def is_counted(place: int, began: float, restores: Sequence[Restore]) -> bool:
    """Whether a story's facts hold in the end: each restore had it in its dump, or came before it began."""
    return all(place in one.true_stories or began >= one.dropped_at for one in restores)
