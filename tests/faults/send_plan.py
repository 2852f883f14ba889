"""What a seed of the send hunt does: messages, and troubles at their times. The same for every rule that is tried."""

import random
from dataclasses import dataclass, field
from typing import Any, Literal

Way = Literal["rest", "old client", "sql"]

SESSIONS = 2
CHATS = 4
"""Of each session; half of them ever wrote."""
TROUBLE_S = 3.0
_PATH = {"path": "/send-message"}
_LOUD = "message*"

UPSTREAM: dict[str, tuple[dict[str, Any], ...]] = {
    "reset before accepting": ({**_PATH, "drop": "before"},),
    "reset after accepting": ({**_PATH, "drop": "after"},),
    "hang before accepting": ({**_PATH, "hang": True},),
    "hang after accepting": ({**_PATH, "hang": True, "after": True},),
    "5xx before accepting": ({**_PATH, "status": 500}, {**_PATH, "status": 503}, {**_PATH, "html": True}),
    "5xx after accepting": (
        {**_PATH, "status": 500, "after": True}, {**_PATH, "status": 502, "after": True},
        {**_PATH, "html": True, "after": True},
    ),
    "empty answer after accepting": ({**_PATH, "empty": True, "after": True},),
    "429 storm": ({**_PATH, "status": 429, "retry_after": 1, "times": 3},),
    "slow answer": ({**_PATH, "delay_ms": 400, "times": 2}, {**_PATH, "delay_ms": 400, "after": True, "times": 2}),
    "refused with 422": ({**_PATH, "status": 422},),
    "refused with 401": ({**_PATH, "status": 401},),
    "accepted, then failed": ({"mode": "send_fails"},),
    "accepted, and nothing is ever heard": ({"mode": "never_sent"},),
    "webhooks lost": ({"mode": "lose", "event": _LOUD, "times": 4},),
    "webhooks doubled": ({"mode": "duplicate", "event": _LOUD, "copies": 3, "times": 4},),
    "webhooks reordered": ({"mode": "delay", "event": _LOUD, "delay_ms": 600, "times": 3},),
    "the key comes before the answer": ({"mode": "sent_early"},),
    "the echo comes first": ({"mode": "upsert_first"},),
}  # fmt: skip
"""Faults of WasenderAPI, as the simulator's control takes them."""
IN_A_CALL = "in the middle of a call"
GATEWAYS = ("kill -9", "SIGSTOP", "SIGTERM", *(f"{what} {IN_A_CALL}" for what in ("kill -9", "SIGSTOP") * 2))
"""What happens to gateways. A call is over in a moment: to be hit in the middle of it, it is made slow first."""
LINKS = ("unlink and relink",)


@dataclass(frozen=True, slots=True)
class Message:
    """One message that is wished for once."""

    client_id: str
    at_s: float
    session: int
    chat: int
    text: str
    way: Way
    gateway: int
    later_s: float | None = None
    """It is scheduled so long after it is written."""
    is_cancelled: bool = False
    """A person tries to cancel it at once."""
    is_repeated: bool = False
    """The client asks a second time although it was answered."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that goes wrong."""

    at_s: float
    kind: str
    where: int
    """Number of the gateway, or of the session."""
    lasts_s: float
    fault: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.at_s:5.2f} s  {self.kind} ({self.where}, {self.lasts_s:.2f} s)"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a seed decides."""

    seed: int
    messages: list[Message]
    troubles: list[Trouble]


def plan_of(seed: int) -> Plan:
    """Forty to eighty messages, and fifteen to thirty troubles."""
    dice = random.Random(seed)
    messages = [_message(dice, seed, number) for number in range(dice.randint(40, 80))]
    messages.sort(key=lambda message: message.at_s)
    kinds = [*UPSTREAM, *GATEWAYS * 2, *LINKS]
    troubles = [_trouble(dice, kind) for kind in dice.choices(kinds, k=dice.randint(15, 30))]
    troubles.sort(key=lambda trouble: trouble.at_s)
    return Plan(seed, messages, troubles)


def _message(dice: random.Random, seed: int, number: int) -> Message:
    way: Way = dice.choice(("rest", "rest", "old client", "sql"))
    is_rest = way == "rest"
    return Message(
        client_id=f"{seed}-{number}",
        at_s=dice.random() * TROUBLE_S,
        session=dice.randrange(SESSIONS),
        chat=dice.randrange(CHATS),
        # Some look alike: then only their number counts.
        text="ok" if dice.random() < 0.15 else f"message {seed}-{number}",
        way=way,
        gateway=dice.randrange(2),
        later_s=0.5 + dice.random() if is_rest and dice.random() < 0.1 else None,
        is_cancelled=is_rest and dice.random() < 0.15,
        is_repeated=way != "sql" and dice.random() < 0.3,
    )


def _trouble(dice: random.Random, kind: str) -> Trouble:
    fault = dict(dice.choice(UPSTREAM[kind])) if kind in UPSTREAM else {}
    if kind.endswith(IN_A_CALL):
        fault = {**_PATH, "delay_ms": 600, "after": dice.random() < 0.6, "times": 3}
    return Trouble(dice.random() * TROUBLE_S, kind, dice.randrange(2), 0.2 + dice.random() ** 2 * 3, fault)
