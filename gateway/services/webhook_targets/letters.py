"""What goes over the wire: body and headers of a webhook out, in both modes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from uuid import uuid4

import orjson
from standardwebhooks import Webhook

from gateway.domain.raw_webhooks import with_key
from gateway.domain.session import SessionSecrets
from gateway.domain.webhook_targets import payload_of, reset_payload
from gateway.services.webhook_targets.ports import Due

TEST = "webhook.test"


@dataclass(frozen=True, slots=True)
class Letter:
    """One request."""

    body: bytes
    headers: Mapping[str, str]


def standard_letter(due: Due, signers: Sequence[str], at: datetime, zone: tzinfo) -> Letter:
    """An event of ours, signed as Standard Webhooks has it, by every secret that is good now."""
    if due.event is None:
        body = reset_payload(due.session_id, due.off, _text(due.made_at))
    else:
        body = payload_of(due.event, due.name, zone)
    return _signed(due.message_id, orjson.dumps(body), signers, at)


def standard_test(signers: Sequence[str], at: datetime) -> Letter:
    """An event that says nothing."""
    body = {"type": TEST, "timestamp": _text(at), "session_id": None, "off": None, "data": {"test": True}}
    return _signed(f"test_{uuid4().hex}", orjson.dumps(body), signers, at)


def raw_letter(due: Due, keys: SessionSecrets) -> Letter:
    """What WasenderAPI sent, with the key and the secret that its session has now."""
    assert due.raw is not None
    return _raw(due.message_id, with_key(due.raw, keys.api_key or ""), keys)


def raw_test(keys: SessionSecrets, at: datetime) -> Letter:
    """A test as WasenderAPI sends it."""
    body = {
        "event": TEST,
        "timestamp": int(at.timestamp()),
        "sessionId": keys.api_key,
        "data": {"test": True, "message": "This is a test of the webhook."},
    }
    return _raw(f"test_{uuid4().hex}", orjson.dumps(body), keys)


def _signed(name: str, body: bytes, signers: Sequence[str], at: datetime) -> Letter:
    signatures = [Webhook(secret).sign(name, at, body.decode()) for secret in signers]
    return Letter(
        body,
        {
            "Content-Type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signatures),
        },
    )


def _raw(name: str, body: bytes, keys: SessionSecrets) -> Letter:
    # The id is ours: a receiver that knows WasenderAPI alone passes it over.
    return Letter(
        body,
        {
            "Content-Type": "application/json",
            "X-Webhook-Signature": keys.webhook_secret or "",
            "webhook-id": name,
        },
    )


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
