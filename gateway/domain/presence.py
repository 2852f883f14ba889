"""Who is in a conversation, and what that person does there."""

from dataclasses import dataclass
from typing import Literal

Doing = Literal["viewing", "typing"]


@dataclass(frozen=True, slots=True)
class Person:
    """A person in a conversation, as pages show it."""

    sub: str
    name: str
    doing: str
