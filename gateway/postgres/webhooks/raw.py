"""Webhooks as they came, on their way into `gateway.raw_webhooks`."""

from collections.abc import Sequence
from typing import Any

from gateway.domain.raw_webhooks import chat_of
from gateway.services.webhooks.batch import InboundWebhook


def raw_columns(batch: Sequence[InboundWebhook]) -> list[Sequence[Any]]:
    """What `gateway.keep_raw_v1` takes: of the webhooks whose bytes are to be kept."""
    kept = [(item, item.raw) for item in batch if item.raw is not None]
    return [
        [item.session_id for item, _ in kept],
        [item.reading.event for item, _ in kept],
        [chat_of(item.reading) for item, _ in kept],
        [raw.body for _, raw in kept],
        [",".join(map(str, raw.key_at)) for _, raw in kept],
    ]
