"""What operators look at, as models."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from gateway.domain.webhook_health import WebhookState
from gateway.http.api.schemas import Count, Flag, SessionIdField, Success, Time


class GatewayOverview(BaseModel):
    """A process of the cluster."""

    id: str = Field(examples=["6f1c9b1e-9d0c-4a57-8f0e-0c9f0f3f6f11"])
    host: str | None = Field(examples=["shop-1"])
    version: str | None = Field(examples=["0.1.0"])
    started_at: Time
    seen_at: Time
    silent_s: float = Field(
        description="Since it was heard last; over 8 s it is frozen or gone.", examples=[1.2]
    )
    leases: Count
    facts: dict[str, Any] = Field(
        description="What it says of itself: process, connections, live, catching_up, pollers, senders, lag_ms, …",
        examples=[{"process": 4711, "connections": 12, "lag_ms": 1.5}],
    )
    is_here: Flag = Field(description="Whether it is the one that answers.", examples=[True])


class SessionOverview(BaseModel):
    """A number, and whether its webhooks arrive."""

    id: SessionIdField
    name: str | None = Field(examples=["Shop"])
    status: str = Field(examples=["connected"])
    webhook_state: WebhookState | None = Field(examples=["ok"])
    webhook_note: str | None = Field(examples=["Webhooks arrive here."])
    webhook_seen_at: Time | None
    webhooks_refused: Count
    queued: Count = Field(examples=[0])
    paused: str | None = Field(description="Why its queue waits.", examples=["restricted"])


class AlertOverview(BaseModel):
    """What an operator has to know of a number."""

    id: Count
    kind: Literal["link_lost", "webhooks_stopped", "restricted"]
    session_id: SessionIdField
    note: str = Field(examples=["The phone has ended the link. Link it again."])
    opened_at: Time
    ended_at: Time | None


class ClusterOverview(BaseModel):
    """Everything an operator looks at first."""

    gateways: list[GatewayOverview]
    sessions: list[SessionOverview] = Field(description="Those in trouble first, at most 500.")
    alerts: list[AlertOverview] = Field(description="Open ones, the newest first.")
    counts: dict[str, Any] = Field(
        description="Sessions, webhooks, sends and alerts by state; queue ages; failures in the journal.",
        examples=[{"journal_failed": 0, "send_age_s": 0.0}],
    )
    media: dict[str, Any] = Field(
        description="Files stored and lost, the bytes of the store, and why files are lost; a few minutes old.",
        examples=[{"stored": 120, "lost": 1, "bytes": 52428800, "reasons": [{"reason": "gone", "files": 1}]}],
    )


class Finding(BaseModel):
    """One line of `gateway doctor`."""

    subject: str = Field(examples=["session 12"])
    is_fine: Flag
    says: str = Field(examples=["Its webhook comes here, with the events and the secret it needs."])
    repairs: SessionIdField | None = Field(description="The session whose `repair-webhook` mends it.")
    command: str | None = Field(description="The command that mends it.", examples=["gateway migrate"])


class OverviewReply(Success[ClusterOverview]):
    """The cluster."""


class FindingsReply(Success[list[Finding]]):
    """What doctor finds."""
