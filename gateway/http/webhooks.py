"""WasenderAPI's webhooks: checked, read, made safe, and only then acknowledged."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any, Protocol

from prometheus_client import Counter, Histogram
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.any_json import Parsed, TooDeep, parse, parse_deep
from gateway.domain.errors import GatewayError, Invalid, Unauthenticated
from gateway.domain.message import Reading
from gateway.domain.raw_webhooks import kept_raw
from gateway.domain.session import SessionSecrets
from gateway.http.errors import STATUSES, error_reply
from gateway.http.limits import RequestLimits, address_of, know
from gateway.http.responses import body_of, json_reply, parse_session_id
from gateway.services.body_budget import BODY
from gateway.services.webhooks.authenticator import WebhookAuthenticator, WrongSecret
from gateway.services.webhooks.batch import InboundWebhook
from gateway.services.webhooks.ingest import Ingest
from gateway.services.webhooks.refused import RefusedWebhooks

logger = logging.getLogger(__name__)

WEBHOOKS = "/api/whatsapp/webhook"
"""What the address of every webhook begins with."""

MAX_BODY = 8 * 1024 * 1024
"""Of a webhook whose secret is known: a picture may stand in it."""

MAX_UNKNOWN_BODY = 64 * 1024
"""Of a webhook whose session only the body can name."""

ANSWERED = Counter(
    "gateway_webhooks",
    "Webhooks by the status they were answered with, and what became of them.",
    ["answer", "outcome"],
)
TOOK = Histogram(
    "gateway_webhook_seconds",
    "From the head of a webhook to its answer: it is safe by then.",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)

LARGE = 64 * 1024

DEEP_PARTS = "parts that are nested too deeply are kept as text"

_RECEIVED = json_reply({"received": True})


class WebhookReader(Protocol):
    """What upstream's payloads mean."""

    def read(self, body: Any, now: datetime) -> Reading:
        """What the webhook says; `now` is when it came."""

    def claimed_key(self, body: Any) -> str | None:
        """The API key that the webhook says it is from; None if it names none."""

    def redact(self, body: Any, session_id: int, secrets: Collection[str]) -> Any:
        """A copy without secrets and without what Postgres cannot hold."""


class WebhookRoutes:
    """Takes webhooks: asks who sends them, then has them made safe."""

    def __init__(
        self,
        reader: WebhookReader,
        authenticator: WebhookAuthenticator,
        ingest: Ingest,
        limits: RequestLimits,
        refused: RefusedWebhooks,
        on_webhook: Callable[[], None] = lambda: None,
    ) -> None:
        """`refused` is told of each, by session: taken or not.

        `on_webhook` is told of each whose sender is known, before it is stored.
        """
        self._reader = reader
        self._on_webhook = on_webhook
        self._authenticator = authenticator
        self._ingest = ingest
        self._limits = limits
        self._refused = refused
        self._counters: dict[tuple[int, str], Counter] = {}

    def routes(self) -> list[Route]:
        """The addresses at which webhooks come in, the shop's old ones among them."""
        return [
            Route(path, self._receive, methods=["POST"])
            for path in (WEBHOOKS, f"{WEBHOOKS}.php", WEBHOOKS + "/{id}")
        ]

    async def _receive(self, request: Request) -> Response:
        began = time.perf_counter()
        status, outcome = 500, "internal"
        try:
            outcome = await self._take(request)
            status = 200
            return _RECEIVED
        except _NotJson:
            status, outcome = 400, "not_json"
            return _not_json()
        except GatewayError as error:
            status, outcome = STATUSES[error.code], error.code
            if isinstance(error, Unauthenticated):
                self._note_refused(request, error)
            raise
        finally:
            counter = self._counters.get((status, outcome))
            if counter is None:
                counter = self._counters[status, outcome] = ANSWERED.labels(str(status), outcome)
            counter.inc()
            TOOK.observe(time.perf_counter() - began)

    def _note_refused(self, request: Request, error: Unauthenticated) -> None:
        is_signed = "x-webhook-signature" in request.headers
        session_id = error.session_id if isinstance(error, WrongSecret) else None
        kind = "webhook_secret" if is_signed else "webhook_unsigned"
        self._limits.rates.refusals.webhook(kind, address_of(request.scope), session_id)
        if session_id is not None:
            self._refused.note(session_id)

    async def _sender_of(
        self, request: Request, path_id: int | None, signature: str
    ) -> SessionSecrets | None:
        """The session that is named or whose secret it is, before the body is read; None if only the body can tell."""
        if path_id is not None:
            return await self._authenticator.authenticate(path_id, None, signature)
        sender = await self._authenticator.by_secret(signature)
        if sender is None and _is_large(request):
            # Its session may be so new that its notification has not come here yet; only a known one may be large.
            self._authenticator.forget(None)
            sender = await self._authenticator.by_secret(signature)
        return sender

    async def _take(self, request: Request) -> str:
        """What became of it. Raises GatewayError where it is not taken."""
        received_at = datetime.now(UTC)
        path_id = parse_session_id(request.path_params["id"]) if "id" in request.path_params else None
        signature = _signature_of(request)
        is_known = await self._authenticator.knows(signature)
        if not is_known:
            self._limits.come_unknown(request)
        sender = await self._sender_of(request, path_id, signature)
        if sender is not None or is_known:
            know(request.scope, is_webhook=True)
        raw = await body_of(request, MAX_BODY if sender else MAX_UNKNOWN_BODY)
        lease = request.scope.get(BODY)
        if lease is not None:
            await lease.parse(len(raw))
        parsed = await _parsed(raw)
        body = parsed.body
        claimed = self._reader.claimed_key(body)
        if sender is None:
            sender = await self._authenticator.authenticate(None, claimed, signature)
            know(request.scope, is_webhook=True)
        elif path_id is None and self._authenticator.is_anothers(sender, claimed):
            raise WrongSecret(None)
        self._on_webhook()
        secrets = [
            item for item in (sender.api_key, sender.webhook_secret, claimed) if item and len(item) >= 8
        ]
        redacted = self._reader.redact(body, int(sender.id), secrets)  # and mended
        reading = self._reader.read(redacted, received_at)
        if parsed.has_deep_parts:
            reading = reading.with_reason(DEEP_PARTS)
        session_id = int(sender.id)
        self._refused.taken(session_id)
        kept = kept_raw(raw, redacted, session_id, claimed) if self._ingest.keeps_raw() else None
        return await self._ingest.submit(InboundWebhook(session_id, received_at, redacted, reading, kept))


class _NotJson(Exception):
    """The body is no JSON."""


def _signature_of(request: Request) -> str:
    """Raises Unauthenticated without exactly one: of two, a proxy may have read the other."""
    signatures = request.headers.getlist("x-webhook-signature")
    if len(signatures) != 1 or not signatures[0]:
        raise Unauthenticated("The webhook needs one X-Webhook-Signature.")
    return signatures[0]


def _is_large(request: Request) -> bool:
    """Whether the body is too large for a stranger's, as it is announced."""
    announced = request.headers.get("content-length", "")
    return not announced.isdecimal() or int(announced[:18]) > MAX_UNKNOWN_BODY


async def _parsed(raw: bytes) -> Parsed:
    """The JSON of a webhook, whatever its shape. Raises _NotJson."""
    try:
        try:
            # Millions of brackets take seconds, and others are answered meanwhile.
            return parse(raw) if len(raw) <= LARGE else await asyncio.to_thread(parse, raw)
        except TooDeep:
            return await asyncio.to_thread(parse_deep, raw)
    except ValueError:
        raise _NotJson from None


def _not_json() -> Response:
    error: GatewayError = Invalid("The body must be JSON.")
    reply = error_reply(error)
    reply.status_code = 400
    return reply
