"""What a `phx_join` asks for, read as leniently as the original does."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from gateway.domain.limits import Limits
from gateway.realtime.supabase.channel import Channel
from gateway.realtime.supabase.frames import MAX_TOPIC, PREFIX, Message, dumps

MAX_CHANNELS = 100


class JoinRefused(Exception):
    """The reason of the reply; clients try again, slower each time."""


def check_join(message: Message, channels: Mapping[str, Any]) -> None:
    """`channels` are those of the connection. Raises JoinRefused."""
    if not message.topic.startswith(PREFIX):
        raise JoinRefused("unmatched topic")
    if not message.channel:
        raise JoinRefused("TopicNameRequired: You must provide a topic name")
    if len(message.topic) > MAX_TOPIC:
        raise JoinRefused(f"TopicTooLong: A topic has at most {MAX_TOPIC} characters")
    try:
        message.topic.encode()
    except UnicodeEncodeError:
        raise JoinRefused("TopicUnreadable: The topic holds half of a surrogate pair") from None
    if message.topic not in channels and len(channels) >= MAX_CHANNELS:
        raise JoinRefused("ChannelRateLimitReached: Too many channels")
    try:
        dumps(asked_changes(message))  # the reply repeats them
    except ValueError:
        raise JoinRefused("TooDeep: The postgres_changes are nested too deeply") from None


class Load:
    """What the channels of one socket ask of every event, held against the limits as a join is read."""

    def __init__(self, limits: Limits, channels: Iterable[Channel]) -> None:
        """`channels` are the others: a topic that is joined again replaces itself."""
        wishes = [wish for channel in channels for wish in channel.wishes]
        self._limits = limits
        self._bindings = len(wishes)
        self._conditions = sum(wish.conditions for wish in wishes)
        self._patterns = sum(wish.patterns for wish in wishes)

    def add(self, bindings: int = 0, conditions: int = 0, patterns: int = 0) -> None:
        """Raises JoinRefused."""
        limits = self._limits
        self._bindings += bindings
        self._conditions += conditions
        self._patterns += patterns
        if self._bindings > limits.bindings:
            raise JoinRefused(f"TooManyBindings: At most {limits.bindings} postgres_changes on one socket")
        if self._conditions > limits.conditions:
            raise JoinRefused(f"TooManyConditions: At most {limits.conditions} conditions on one socket")
        if self._patterns > limits.patterns:
            raise JoinRefused(
                f"TooManyPatterns: At most {limits.patterns} conditions with like, ilike, match or imatch on one socket"
            )


def asked_changes(message: Message) -> list[dict[str, Any]]:
    """The `postgres_changes` in the client's order; what is no object is dropped."""
    asked = _config(message).get("postgres_changes")
    return [item for item in asked if isinstance(item, dict)] if isinstance(asked, list) else []


def wants_presence(message: Message) -> bool:
    """Whether the join asks for presence."""
    presence = _config(message).get("presence")
    return isinstance(presence, dict) and presence.get("enabled") in (True, "true")


def says_something(token: object) -> TypeGuard[str]:
    """Whether it is a token of the client's own; a key of Supabase's newer kind stands for the connection's."""
    return isinstance(token, str) and bool(token) and not token.startswith("sb_")


def _config(message: Message) -> Mapping[str, Any]:
    config = message.payload.get("config")
    return config if isinstance(config, dict) else {}
