"""The models of `/api/whatsapp-sessions`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gateway.domain import session_settings
from gateway.domain.session import StatusSource
from gateway.domain.webhook_health import WebhookState
from gateway.http.api.schemas import (
    NULLABLE,
    Asked,
    Body,
    Cursor,
    Flag,
    Limit,
    SessionIdField,
    Status,
    Success,
    Time,
    Url,
)
from gateway.http.responses import DEFAULT_LIMIT

YesOrNo = Annotated[bool | None, BeforeValidator(session_settings.yes_or_no)]


class SessionFields(Body):
    """The settings of a session. A session as it was read may be sent back: what cannot be set is ignored."""

    is_form = True

    name: Annotated[str | None, BeforeValidator(session_settings.name)] = Field(
        None, min_length=1, max_length=255, examples=["Shop"]
    )
    phone_number: Annotated[str | None, BeforeValidator(session_settings.phone_number)] = Field(
        None,
        description="International form; spaces, dots, dashes and brackets are ignored.",
        pattern=r"^[+ ().\-]*[1-9]([+ ().\-]*[0-9]){6,14}[+ ().\-]*$",
        examples=["+15550001111"],
    )
    account_protection: YesOrNo = Field(None, description="At most one message per 5 s.", examples=[True])
    log_messages: YesOrNo = Field(None, examples=[True])
    webhook_url: Annotated[Url | None, BeforeValidator(session_settings.address("https", "http"))] = Field(
        None, description="Left out on create: the gateway's own address.", json_schema_extra=NULLABLE
    )
    webhook_enabled: Annotated[Flag | None, BeforeValidator(session_settings.yes_or_no)] = None
    webhook_events: Annotated[list[str] | None, BeforeValidator(session_settings.event_names)] = Field(
        None, json_schema_extra=NULLABLE, examples=[["messages.received", "session.status"]]
    )
    read_incoming_messages: YesOrNo = Field(None, examples=[False])
    auto_reject_calls: YesOrNo = Field(None, examples=[False])
    ignore_groups: YesOrNo = Field(None, examples=[False])
    ignore_channels: YesOrNo = Field(None, examples=[True])
    ignore_broadcasts: YesOrNo = Field(None, examples=[True])
    always_online: YesOrNo = Field(None, examples=[False])
    proxy_url: Annotated[str | None, BeforeValidator(session_settings.address("http", "https", "socks5"))] = (
        Field(None, description="http, https or socks5.", examples=[None], json_schema_extra=NULLABLE)
    )

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_read_only(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in values.items() if key not in session_settings.READ_ONLY}

    def settings(self) -> dict[str, Any]:
        """What goes upstream: what was given, and nothing else."""
        return self.model_dump(exclude_unset=True)


class NewSession(SessionFields):
    """The settings of a new session. `account_protection` and `log_messages` are true unless set otherwise."""

    name: Annotated[str, BeforeValidator(session_settings.name)] = Field(
        min_length=1, max_length=255, examples=["Shop"]
    )
    phone_number: Annotated[str, BeforeValidator(session_settings.phone_number)] = Field(
        description="International form; spaces, dots, dashes and brackets are ignored.",
        pattern=r"^[+ ().\-]*[1-9]([+ ().\-]*[0-9]){6,14}[+ ().\-]*$",
        examples=["+15550001111"],
    )

    def settings(self) -> dict[str, Any]:
        """What goes upstream: what was given, and what upstream requires besides."""
        return {**session_settings.DEFAULTS, **super().settings()}


class SessionData(BaseModel):
    """A session: WasenderAPI's own fields, and how fresh the status is. Fields we do not know pass through."""

    model_config = ConfigDict(extra="allow")

    id: SessionIdField = Field(description="WasenderAPI's id of the session.")
    name: str = Field(examples=["Shop"])
    phone_number: str = Field(examples=["+15550001111"])
    status: Status
    account_protection: Flag | None
    log_messages: Flag | None
    webhook_url: Url | None
    webhook_enabled: Flag | None
    webhook_events: list[str] | None = Field(examples=[["messages.received", "session.status"]])
    api_key: str = Field(description="Empty, except for an admin's `reveal=secrets`.", examples=[""])
    webhook_secret: str = Field(description="Empty, except for an admin's `reveal=secrets`.", examples=[""])
    user_info: dict[str, Any] | None = Field(
        description="Whose phone it is.", examples=[{"id": "15550001111", "name": "Shop"}]
    )
    last_connected_at: Time | None
    created_at: Time | None
    updated_at: Time | None
    checked_at: Time | None = Field(description="When the status was last confirmed.")
    source: StatusSource | None = Field(description="Who confirmed it.")
    stale: bool = Field(description="Nobody has confirmed the status for 15 minutes.", examples=[False])
    webhook_state: WebhookState | None = Field(
        description="Whether its webhooks arrive here; null when not looked at.", examples=["ok"]
    )
    webhook_note: str | None = Field(description="The same in words.", examples=["Webhooks arrive here."])
    version: int = Field(description="Grows with every change of the session.", examples=[41])


class StatusData(BaseModel):
    id: SessionIdField
    status: Status
    checked_at: Time | None
    source: StatusSource | None
    stale: bool = Field(examples=[False])
    version: int = Field(examples=[41])


class LinkTrouble(BaseModel):
    """What goes wrong at WasenderAPI. The gateway tries again by itself."""

    code: str = Field(examples=["upstream_error"])
    message: str = Field(description="One sentence for people.")
    action: str | None
    retry_at: Time | None = Field(description="When it is asked again.")


class CodeData(BaseModel):
    """The QR code of the running attempt. All values are null until the first code comes."""

    qr_code: str | None = Field(
        description="A picture, as a data URL.", examples=["data:image/svg+xml;base64,PHN2Zy…"]
    )
    qrCode: str | None = Field(description="What the picture says.", examples=["2@Abc…"])
    seq: int | None = Field(description="Number of the code in the session.", examples=[3])
    issued_at: Time | None
    expires_at: Time | None = Field(description="Do not show the code after this.")
    attempt: int = Field(description="Number of the code in this attempt.", examples=[1])
    max_attempts: int = Field(examples=[6])
    scanned_at: Time | None = Field(examples=[None])
    trouble: LinkTrouble | None = Field(
        description="Why WasenderAPI does not answer as it should, while the attempt goes on.",
        examples=[None],
    )


class ConnectData(BaseModel):
    """Where linking stands, with the code if there is one already."""

    session_id: SessionIdField
    status: Status = Field(examples=["need_scan"])
    qr_code: str | None = Field(None, examples=["data:image/svg+xml;base64,PHN2Zy…"])
    qrCode: str | None = Field(None, examples=["2@Abc…"])
    seq: int | None = Field(None, examples=[3])
    issued_at: Time | None = None
    expires_at: Time | None = None
    attempt: int | None = Field(None, examples=[1])
    max_attempts: int | None = Field(None, examples=[6])
    scanned_at: Time | None = Field(None, examples=[None])
    trouble: LinkTrouble | None = Field(None, examples=[None])


class StatusWord(BaseModel):
    status: Status = Field(examples=["disconnected"])


class KeyData(BaseModel):
    api_key: Literal[""] = Field(description="Always empty: the new key stays in the gateway.")


class LogRow(BaseModel):
    id: int = Field(examples=[981])
    event_type: str = Field(examples=["link_started"])
    message: str | None = Field(examples=["Anna started linking."])
    metadata: Any = Field(examples=[{"actor": "Anna", "sub": "anna"}])
    created_at: Time | None
    actor: str | None = Field(description="Who asked for it.", examples=["Anna"])
    source: str | None = Field(
        None, description="gateway, or upstream for WasenderAPI's own log.", examples=["gateway"]
    )


class SyncData(BaseModel):
    created: int = Field(examples=[1])
    updated: int = Field(examples=[2])
    gone: int = Field(description="Not there any more upstream.", examples=[0])
    unchanged: int = Field(examples=[9])
    synced_count: int = Field(examples=[12])
    total_sessions: int = Field(examples=[12])
    errors: list[str] = Field(description="Sessions that could not be read, with the reason.", examples=[[]])


SORTABLE = ("name", "created_at", "updated_at", "status", "phone_number", "last_connected_at", "id")


def sort_fields(text: str) -> tuple[tuple[str, bool], ...]:
    """The fields to sort by, and whether each is turned round. Raises ValueError."""
    fields = [part.strip() for part in text.split(",") if part.strip()]
    names = [field.removeprefix("-") for field in fields]
    if not names or any(name not in SORTABLE for name in names) or len(set(names)) < len(names):
        raise ValueError(
            f"`sort` must be some of {', '.join(SORTABLE)}, each once, with `-` in front to turn it round."
        )
    return tuple((name, field.startswith("-")) for name, field in zip(names, fields, strict=True))


def _sortable(text: object) -> object:
    sort_fields(str(text))
    return text


class SessionListQuery(Body):
    status: str = Field("", description="Only sessions in this status.", examples=["connected"])
    search: str = Field(
        "", description="Part of the name, or of the number in any formatting.", examples=["shop"]
    )
    sort: Annotated[str, BeforeValidator(_sortable)] = Field(
        "name",
        description="Some of these fields, each once, with commas between them; `-` in front turns one round.",
        pattern="^( *-?(name|created_at|updated_at|status|phone_number|last_connected_at|id) *(,.*)?)?$",
        examples=["-created_at"],
    )
    limit: Limit = DEFAULT_LIMIT
    cursor: str = Field("", description="`next_cursor` of the page before.")
    include: Literal["gone"] | None = Field(None, description="Also sessions that upstream no longer has.")
    refresh: Asked | None = Field(None, description="Reconcile with WasenderAPI first (admin).")


class SessionQuery(Body):
    refresh: Asked | None = Field(None, description="Ask WasenderAPI first.")


class SessionDetailQuery(SessionQuery):
    reveal: Literal["secrets"] | None = Field(None, description="Show key and secret (admin; it is logged).")


class CodeQuery(Body):
    format: Literal["json", "svg", "png", "raw"] = Field(
        "json", description="svg and png are pictures, raw is the text to draw."
    )


class LogQuery(Body):
    format: Literal["json", "csv"] = Field("json", description="csv is for spreadsheets.")
    upstream: Asked | None = Field(None, description="Merge WasenderAPI's own log in.")
    event_type: str = Field("", description="Only entries of this kind.", examples=["connected"])
    limit: Limit = DEFAULT_LIMIT
    cursor: str = Field("", description="`next_cursor` of the page before.")


class SessionListReply(Success[list[SessionData]]):
    next_cursor: Cursor | None = Field(description="Null on the last page.")


class SessionReply(Success[SessionData]):
    pass


class SessionUpdateReply(SessionReply):
    warning: str | None = Field(
        None, description="WasenderAPI's own warning.", examples=["Reconnect the session."]
    )


class StatusReply(Success[StatusData]):
    status: Status


class CodeReply(Success[CodeData]):
    qr_code: str | None = Field(examples=["data:image/svg+xml;base64,PHN2Zy…"])


class ConnectReply(Success[ConnectData]):
    pass


class StatusWordReply(Success[StatusWord]):
    pass


class KeyReply(Success[KeyData]):
    api_key: Literal[""]


class LogReply(Success[list[LogRow]]):
    next_cursor: Cursor | None = Field(description="Null on the last page.")


class SyncReply(Success[SyncData]):
    pass
