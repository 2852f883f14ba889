"""What one part tells parts that are built after it: by name, without knowing them.

`Signals` is made before every part. A part is given the signal that it raises; the composition root connects each
signal to those who hear it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, ParamSpec

from gateway.domain.linking import Attempt
from gateway.domain.message import SessionChange
from gateway.domain.presence import Person
from gateway.domain.streams import OwnWrite

P = ParamSpec("P")


class Signal(Generic[P]):
    """Calls everything that is connected to it, in the order of connecting."""

    __slots__ = ("_hearers",)

    def __init__(self) -> None:
        self._hearers: list[Callable[P, object]] = []

    def connect(self, *hearers: Callable[P, object]) -> None:
        """Calls these, too, from now on. None of them may wait or raise."""
        self._hearers += hearers

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        for hear in self._hearers:
            hear(*args, **kwargs)

    @property
    def is_heard(self) -> bool:
        """Whether anything is connected."""
        return bool(self._hearers)


@dataclass(frozen=True, slots=True)
class Signals:
    """Everything that parts of a gateway tell each other upwards."""

    inboxes_moved: Signal[[str]] = field(default_factory=Signal)
    """Of a notification: the inboxes that it names, or `*`."""

    written_by: Signal[[str, int]] = field(default_factory=Signal)
    """Of a notification whose writer, a process at the server, knows what it is about: the inbox that it names."""

    rows_moved: Signal[[str]] = field(default_factory=Signal)
    """The inboxes that a notification of any kind names, or `*`."""

    write_began: Signal[[int]] = field(default_factory=Signal)
    """This gateway begins a write that may bring its events back, on the connection of that process at the server."""

    write_ended: Signal[[int, OwnWrite | None]] = field(default_factory=Signal)
    """That write is over; what it brought back."""

    sessions_moved: Signal[[str]] = field(default_factory=Signal)
    """Of a notification: the sessions whose state it names, or `*`."""

    keys_moved: Signal[[str]] = field(default_factory=Signal)
    """Of a notification: the sessions whose keys or secrets it names, or `*`."""

    access_moved: Signal[[str]] = field(default_factory=Signal)
    """Of a notification: logins or people have changed."""

    queues_moved: Signal[[str]] = field(default_factory=Signal)
    """Of a notification: the sessions whose queues of messages it names, or `*`."""

    presence_moved: Signal[[str]] = field(default_factory=Signal)
    """Of a notification: the sessions in whose conversations people came, went or began to write, or `*`."""

    presence_changed: Signal[[int, str, Sequence[Person]]] = field(default_factory=Signal)
    """Who is in a conversation of an inbox now."""

    targets_moved: Signal[[str]] = field(default_factory=Signal)
    """Of a notification: targets of webhooks out have changed."""

    schema_served_from: Signal[[str | None]] = field(default_factory=Signal)
    """Of each beat of the listening connection: the oldest version that may serve the schema."""

    leases_renewed: Signal[[]] = field(default_factory=Signal)
    """The leases of this gateway hold for longer again."""

    left_unnumbered: Signal[[str]] = field(default_factory=Signal)
    """Of a notification: a transaction has left changes that are not numbered yet."""

    listening: Signal[[]] = field(default_factory=Signal)
    """Notifications are heard from now on."""

    cut_off: Signal[[]] = field(default_factory=Signal)
    """Notifications may be lost from now on, and every lease is."""

    inbox_followed: Signal[[int | None]] = field(default_factory=Signal)
    """A connection follows this inbox from now on; None: every inbox."""

    read_failed: Signal[[]] = field(default_factory=Signal)
    """What a notification named could not be read: clients may miss something."""

    stale: Signal[[str]] = field(default_factory=Signal)
    """Clients may miss something since then (ISO 8601)."""

    fresh: Signal[[]] = field(default_factory=Signal)
    """Clients have everything again."""

    list_behind: Signal[[]] = field(default_factory=Signal)
    """A reader has found the list of conversations behind the streams."""

    session_changed: Signal[[int, Attempt | None, str | None, int | None]] = field(default_factory=Signal)
    """The newest attempt of a session whose state has changed, and status and version of its row."""

    session_reported: Signal[[int, SessionChange]] = field(default_factory=Signal)
    """A webhook's change of a session has been committed."""

    webhook_repaired: Signal[[int]] = field(default_factory=Signal)
    """The webhook of this session points here, and its secret is the one that WasenderAPI has."""

    keys_written: Signal[[Sequence[int]]] = field(default_factory=Signal)
    """This gateway has changed the keys of these sessions: sooner than the notification."""

    access_changed: Signal[[]] = field(default_factory=Signal)
    """Logins were ended, or may do other things now."""

    def hear_again(self) -> None:
        """Notifications are heard from now on; those of before may be lost, so that anything may have moved."""
        self.left_unnumbered("*")
        self.inboxes_moved("*")
        self.sessions_moved("*")
        self.keys_moved("*")
        self.access_moved("*")
        self.queues_moved("*")
        self.presence_moved("*")
        self.targets_moved("*")
        self.listening()
