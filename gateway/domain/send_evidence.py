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


@dataclass(frozen=True, slots=True)
class Echo:
    """A key that may be ours: named by upstream for a send of the session, or seen as the linked number's own."""

    key_id: str
    chat: str
    content: str
    at: float
    """When WhatsApp took it, at the latest."""
    is_named: bool
    msg_id: int | None = None
    """Upstream's number, where it was told."""


def claims(sends: Collection[Send], echoes: Collection[Echo]) -> list[Send]:
    """The rows whose keys are known now, as `sent`, each with its key.

    `sends` are as for `settled`, of one chat; `echoes` are keys that no row has. A number of upstream's says whose
    key it is. Without one, a named key is the accepted row's that alone can be meant; where several can, only upstream
    knows.
    """
    done = [
        _proven(send, _piece(echo))
        for echo in echoes
        if echo.msg_id is not None
        for send in sends
        if send.msg_id == echo.msg_id and send.key_id is None and send.status is not SendStatus.SENDING
    ]
    used = {send.key_id for send in done}
    left = _without(sends, done)
    named = [echo for echo in echoes if echo.is_named and echo.key_id not in used]
    pieces = [_piece(echo) for echo in named]
    alone = [_alone(left, echo, pieces) for echo in named if echo.msg_id is None]
    done += [send for send in alone if send is not None]
    return done + settled(_without(sends, done), pieces, {send.key_id for send in done if send.key_id})


def _piece(echo: Echo) -> Evidence:
    return Evidence(echo.key_id, echo.chat, echo.content, echo.at)


def _without(sends: Collection[Send], done: Collection[Send]) -> list[Send]:
    known = {send.id for send in done}
    return [send for send in sends if send.id not in known]


def _alone(sends: Collection[Send], echo: Echo, pieces: Collection[Evidence]) -> Send | None:
    """The accepted row that this key must be of: no other row, and no other key, looks like it."""
    alike = [send for send in sends if send.content == echo.content and send.key_id is None]
    rivals = [piece for piece in pieces if piece.content == echo.content]
    if len(alike) != 1 or len(rivals) != 1 or alike[0].status is not SendStatus.ACCEPTED:
        return None
    return _proven(alike[0], _piece(echo)) if (alike[0].sending_at or 0.0) < echo.at else None


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
