"""What an iteration yields: plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict


class Position(TypedDict):
    """Everything up to and including `off` of history `epoch`; None while the client was not told the history."""

    off: int
    epoch: str | None


PositionMap = dict[str, Position]
"""By inbox, as REST's `position` has it; may be kept as JSON."""


@dataclass(frozen=True, slots=True)
class Event:
    """One committed change: each comes once, in the order of its inbox."""

    inbox: str
    off: int
    epoch: str | None
    name: str
    """message.created, message.updated, message.status, message.deleted; others may come."""
    at: str
    data: dict[str, Any]
    truncated: tuple[str, ...] = ()
    """Columns left out (null) because the frame would have been too long; REST has them."""


@dataclass(frozen=True, slots=True)
class Reset:
    """What you hold of this inbox is of no use: load it by REST. Events go on after `position`."""

    inbox: str
    reason: str
    """offset_expired, epoch_changed, offset_unknown; `gap` if something was lost on the way to us.

    `epoch_unknown`: the client was cut off before it was told which history its first events are of."""
    position: Position


@dataclass(frozen=True, slots=True)
class Live:
    """Everything up to `position` has been yielded. Comes after every subscribe, so after every reconnect, too."""

    position: PositionMap


@dataclass(frozen=True, slots=True)
class State:
    """The newest value of one part of one session; never an older one after a newer."""

    session_id: int
    part: Literal["session", "link", "sending"]
    version: int
    name: str
    """session.created, .updated, .status, .deleted, .qr, .link_trouble, .link_ended, .sending; others may come."""
    at: str
    expires_at: str | None
    data: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole value of the topic; what is not in it (or in the states right after it) is not there any more."""

    states: tuple[State, ...]


StreamItem = Event | Reset | Live
StateItem = Snapshot | State


def event_of(frame: Mapping[str, Any], inbox: str, epoch: str | None) -> Event:
    """A frame of type `event` as a value."""
    return Event(
        inbox=inbox,
        off=frame["off"],
        epoch=epoch,
        name=frame["event"],
        at=frame["at"],
        data=frame["data"],
        truncated=tuple(frame.get("truncated", ())),
    )


def state_of(frame: Mapping[str, Any]) -> State:
    """A frame of type `state` as a value."""
    return State(
        session_id=frame["session_id"],
        part=frame["part"],
        version=frame["version"],
        name=frame["event"],
        at=frame["at"],
        expires_at=frame.get("expires_at"),
        data=frame.get("data"),
    )
