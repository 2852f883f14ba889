"""Which unknown sends were sent after all: by evidence, each piece used once.

A piece is a key of WhatsApp that upstream itself has named for a send of this session (`message.sent`, message info, a
message log); an echo of the phone alone is none, since a person may type the same words. What look alike are messages
of one chat and content. Content is no key ("ok" twice is legal), so where k rows could have been meant by what
was heard, nothing is settled until k pieces have come.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from gateway.domain.sending import REACHED, Send, SendStatus

_WAITING = frozenset({SendStatus.SENDING, SendStatus.ACCEPTED})


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something was sent, and this is its key."""

    key_id: str
    chat: str
    content: str
    at: float
    """When WhatsApp took it, as far as upstream tells."""


def settled(
    sends: Iterable[Send], evidence: Iterable[Evidence], claimed: Collection[str] = frozenset()
) -> list[Send]:
    """The rows that the evidence proves, as `sent`, each with its key.

    `sends` are the session's rows in `sending`, `accepted` and `unknown`, and those without a key that a person has
    settled (as sent, whose key is still to come; as failed, which a key proves wrong). `claimed` are keys that rows
    have already. A row that waits for its own key, accepted or being sent, may be what was heard: it holds up what
    looks like it.
    """
    groups: dict[tuple[str, str], list[Send]] = {}
    for send in sends:
        groups.setdefault((send.chat, send.content), []).append(send)
    taken = set(claimed) | {send.key_id for group in groups.values() for send in group if send.key_id}
    pieces: dict[tuple[str, str], list[Evidence]] = {}
    for piece in sorted(evidence, key=lambda piece: (piece.at, piece.key_id)):
        if piece.key_id not in taken:
            taken.add(piece.key_id)
            pieces.setdefault((piece.chat, piece.content), []).append(piece)
    return [
        send
        for look, found in pieces.items()
        if look in groups and not any(_waits_for_key(send) for send in groups[look])
        for send in _settled_alike(groups[look], found)
    ]


def _waits_for_key(send: Send) -> bool:
    return send.status in _WAITING and send.key_id is None


def _is_open(send: Send) -> bool:
    if send.key_id is not None or send.sending_at is None:
        return False
    by_person = send.status is SendStatus.FAILED and send.error_code == "settled"
    return send.status is SendStatus.UNKNOWN or send.status in REACHED or by_person


def _settled_alike(alike: list[Send], found: list[Evidence]) -> list[Send]:
    """Rows that nothing tells apart, against the pieces for them, oldest first."""
    unknown = [send for send in alike if _is_open(send)]
    open_rows = sorted(unknown, key=lambda send: (send.sending_at or 0.0, send.id))
    held: list[Evidence] = []
    done: list[Send] = []
    for piece in found:
        fitting = [send for send in open_rows if (send.sending_at or 0.0) < piece.at]
        if not fitting:
            continue  # it is older than every attempt that is still open: another writer's
        held.append(piece)
        if len(held) >= len(fitting):
            done += [_proven(send, proof) for send, proof in zip(fitting, held, strict=False)]
            open_rows, held = open_rows[len(fitting) :], []
    return done


def _proven(send: Send, proof: Evidence) -> Send:
    if send.status in REACHED:
        return replace(send, key_id=proof.key_id)
    return send.to(SendStatus.SENT, key_id=proof.key_id, error=None, error_code=None)
