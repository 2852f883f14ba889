"""`call` events: one call in one of its states.

A call is told several times under one id: `offer`, perhaps `accept` or `reject`, then `terminate` or `timeout`. Only an
end without an answer is something to read: `Call.content` then holds it, as a message of type `call` whose key id is
the call's. The engine tells a missed call also as a message with a stub of the same id (`content_in` reads it).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from gateway.wasender.message_content import CALL_KIND, Content
from gateway.wasender.message_identity import Parties, is_from_me, parties
from gateway.wasender.texts.calls import kind_of_call
from gateway.wasender.texts.lines import flag
from gateway.wasender.timestamps import timestamp
from gateway.wasender.values import enum_word, objects, present

Outcome = Literal["ringing", "answered", "missed", "declined", "ended"]

_OUTCOMES: dict[str, Outcome] = {
    "offer": "ringing", "ringing": "ringing", "preaccept": "ringing", "transport": "ringing",
    "relaylatency": "ringing", "incoming": "ringing",
    "accept": "answered", "accepted": "answered", "connected": "answered",
    "timeout": "missed", "missed": "missed", "no_answer": "missed", "unanswered": "missed",
    "reject": "declined", "rejected": "declined", "declined": "declined",
    "terminate": "ended", "terminated": "ended", "ended": "ended", "end": "ended", "hangup": "ended",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """One state of a call.

    `who` names chat and caller as a message's row does. `ended` alone does not say whether the call was answered:
    a call that only rang and ended was missed (`missed_content`), which the states stored before it tell.
    """

    id: str
    who: Parties
    outcome: Outcome
    is_video: bool
    is_group: bool
    is_from_me: bool
    at: datetime

    @property
    def content(self) -> Content | None:
        """What is to be read of it: a missed or a declined call that came in; None for everything else."""
        if self.is_from_me or self.outcome not in ("missed", "declined"):
            return None
        return self._content("Missed" if self.outcome == "missed" else "Declined")

    @property
    def missed_content(self) -> Content:
        """The words of this call as a missed one, for an end that came without an answer."""
        return self._content("Missed")

    def _content(self, word: str) -> Content:
        return Content(CALL_KIND, "call", f"{word} {kind_of_call(self.is_video, self.is_group)}")


def calls_of(data: Any, at: datetime, now: datetime | None = None) -> list[Call]:
    """The calls in the `data` of a `call` event: one object, a list, or either under `call` or `calls`."""
    if isinstance(data, dict):
        data = next(
            (data[name] for name in ("call", "calls") if isinstance(data.get(name), dict | list)), data
        )
    found = (_call(present(item), at, now) for item in objects(data))
    return [one for one in found if one is not None]


def _call(item: dict[str, Any], at: datetime, now: datetime | None) -> Call | None:
    own_id = item.get("id", item.get("callId"))
    own_id = str(own_id).strip() if isinstance(own_id, str | int) and not isinstance(own_id, bool) else ""
    outcome = _OUTCOMES.get(enum_word(item.get("status")))
    # Without an id the states of a call cannot be told to be of one; a missed or declined one says enough by itself.
    if outcome is None or not (own_id or outcome in ("missed", "declined")):
        return None
    who = _who(item)
    if who is None:
        return None
    when = timestamp(item.get("date", item.get("timestamp")), at, now)
    return Call(
        id=own_id
        or f"call-{who.address.partition('@')[0]}-{int(when.timestamp())}",  # the same call told again has it, too
        who=who,
        outcome=outcome,
        is_video=flag(item, "isVideo"),
        is_group=flag(item, "isGroup") or who.chat.endswith("@g.us"),
        is_from_me=is_from_me(item),
        at=when,
    )


def _who(item: dict[str, Any]) -> Parties | None:
    """The caller under all names that calls have for him; of a group's call, the group and him in it."""
    caller = item.get("from") or item.get("chatId")
    group = item.get("groupJid") or item.get("chatId")
    if isinstance(group, str) and group.endswith("@g.us"):
        key = {"remoteJid": group, "participant": caller, "participantPn": item.get("callerPn")}
    else:
        key = {
            "remoteJid": caller,
            "remoteJidAlt": item.get("fromAlt") or item.get("chatId"),
            "senderPn": item.get("callerPn") or item.get("fromPn"),
            "senderLid": item.get("callerLid") or item.get("fromLid"),
        }
    return parties(present(key), from_me=False)
