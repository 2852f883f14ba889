"""What writers know of their own writes: what must be there, what must not, and what nobody can tell."""

from dataclasses import dataclass, field
from typing import Literal

Fate = Literal["kept", "gone", "unsure"]
"""Acknowledged or committed; rolled back or deleted; the answer was lost on its way."""


@dataclass
class Ledger:
    fates: dict[str, Fate] = field(default_factory=dict)
    """By WhatsApp's id of the message."""
    chains: list[list[str]] = field(default_factory=list)
    """Ids of one inbox of which each was acknowledged before the next was sent: they keep this order."""

    def note(self, key: str, fate: Fate) -> None:
        self.fates[key] = fate

    def new_chain(self) -> list[str]:
        chain: list[str] = []
        self.chains.append(chain)
        return chain

    def count(self, fate: Fate) -> int:
        return sum(1 for known in self.fates.values() if known == fate)

    def complaints(self, stored: set[str]) -> list[str]:
        """What the table has although it must not, and what it lacks."""
        lost = sorted(key for key, fate in self.fates.items() if fate == "kept" and key not in stored)
        ghosts = sorted(key for key, fate in self.fates.items() if fate == "gone" and key in stored)
        found = [f"acknowledged and not stored: {key}" for key in lost]
        return found + [f"rolled back or deleted, and stored: {key}" for key in ghosts]
