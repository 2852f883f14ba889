"""Messages as the columns that `gateway.receive_v3` and `gateway.send_v2` take."""

import uuid
from collections.abc import Sequence
from typing import Any

from gateway.domain.media import MediaFacts, told_of
from gateway.domain.message import MessageReceived, MessageSent


def received_columns(
    found: Sequence[tuple[int, int, MessageReceived]], turns: dict[int, int] | None = None
) -> list[list[Any]]:
    """What `gateway.receive_v3` takes, behind its lock timeout. `turns` is the order of arrival in a mixed batch."""
    messages = [message for _, _, message in found]
    return [
        [number for number, _, _ in found],
        [item.key_id for item in messages],
        [session_id for _, session_id, _ in found],
        [item.chat for item in messages],
        [item.from_phone for item in messages],
        [item.sender_lid for item in messages],
        [item.push_name for item in messages],
        [item.text for item in messages],
        [item.type for item in messages],
        [item.media_url for item in messages],
        [item.received_at for item in messages],
        [item.raw for item in messages],
        [item.is_placeholder for item in messages],
        list(range(len(messages))) if turns is None else [turns[id(item)] for item in messages],
        [_media_data(item.media) for item in messages],
    ]


def sent_columns(found: Sequence[tuple[int, int, MessageSent]], turns: dict[int, int]) -> list[list[Any]]:
    """What `gateway.send_v2` takes, behind its lock timeout."""
    messages = [message for _, _, message in found]
    return [
        [number for number, _, _ in found],
        [item.key_id for item in messages],
        [session_id for _, session_id, _ in found],
        [item.chat for item in messages],
        [item.to_phone for item in messages],
        [item.lid for item in messages],
        [item.text for item in messages],
        [item.type for item in messages],
        [item.media_url for item in messages],
        [item.sent_at for item in messages],
        [item.raw for item in messages],
        [item.is_placeholder for item in messages],
        [turns[id(item)] for item in messages],
        [_media_data(item.media) for item in messages],
    ]


def _media_data(facts: MediaFacts | None) -> dict[str, Any] | None:
    return None if facts is None else told_of(facts, str(uuid.uuid4()))
