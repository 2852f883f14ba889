"""The models of `/api/webhook-targets`."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from gateway.domain.webhook_targets import Mode
from gateway.http.api.schemas import NULLABLE, Body, Cursor, Limit, SessionIdField, Success, Time
from gateway.http.responses import DEFAULT_LIMIT
from gateway.services.webhook_targets.ports import State

EventWish = Annotated[str, Field(min_length=1, max_length=100)]
_EVENTS = (
    "In mode standard: `message.created`, `message.updated`, `message.status`, `message.deleted`, "
    "`conversation.updated`, `session.status`; `inbox.reset` always comes. In mode raw WasenderAPI's names, such as "
    "`messages.received`."
)
_MOST = 1000
_URL = "https://shop.example/hooks/whatsapp"


class NewTargetFields(Body):
    url: str = Field(min_length=1, max_length=2000, examples=[_URL])
    sessions: Literal["*"] | list[SessionIdField] | None = Field(
        None, description="Left out: your own.", examples=[[12]], json_schema_extra=NULLABLE
    )
    events: Literal["*"] | list[EventWish] = Field("*", description=_EVENTS, examples=["*"])
    mode: Mode = Field(
        "standard",
        description="`raw` sends what WasenderAPI sent, with its key and secret: for admins of all sessions.",
    )


class TargetFields(Body):
    """Only what is sent changes."""

    url: str | None = Field(None, min_length=1, max_length=2000, examples=[_URL], json_schema_extra=NULLABLE)
    sessions: Literal["*"] | list[SessionIdField] | None = Field(
        None, examples=[[12]], json_schema_extra=NULLABLE
    )
    events: Literal["*"] | list[EventWish] | None = Field(
        None, description=_EVENTS, examples=[["message.created"]], json_schema_extra=NULLABLE
    )
    mode: Mode | None = Field(None, examples=["standard"], json_schema_extra=NULLABLE)
    paused: bool | None = Field(
        None,
        description="false resumes; nothing was lost meanwhile.",
        examples=[False],
        json_schema_extra=NULLABLE,
    )
    rotate_secret: bool | None = Field(
        None,
        description="Makes a new secret; the former one signs too for 24 hours.",
        examples=[True],
        json_schema_extra=NULLABLE,
    )


class TargetData(BaseModel):
    id: int = Field(examples=[3])
    url: str = Field(examples=[_URL])
    sessions: Literal["*"] | list[int] = Field(examples=[[12]])
    events: Literal["*"] | list[str] = Field(examples=["*"])
    mode: Mode
    paused_reason: str | None = Field(description="Why nothing is sent; null while it is.", examples=[None])
    paused_at: Time | None
    delivered_at: Time | None = Field(description="When the receiver last took a webhook.")
    created_at: Time | None
    secret: str | None = Field(
        None,
        description="Signs what is sent, as Standard Webhooks has it. Shown when it is made, and never again.",
        examples=["whsec_…"],
        json_schema_extra=NULLABLE,
    )


class TargetReply(Success[TargetData]):
    pass


class ListedTargetData(TargetData):
    waiting: int = Field(description="Deliveries that wait, counted up to 10,000.", examples=[0])
    dead: int = Field(description="Dead letters, counted up to 10,000.", examples=[0])


class TargetListReply(Success[list[ListedTargetData]]):
    pass


class DeliveryQuery(Body):
    state: State | None = Field(None, description="Only those; `dead` are the ones that were given up.")
    limit: Limit = DEFAULT_LIMIT
    cursor: str = Field("", description="`next_cursor` of the page before.")


class DeliveryData(BaseModel):
    id: int = Field(examples=[4711])
    message_id: str = Field(description="`webhook-id` of every try.", examples=["evt_12_6f1c9b1e_184"])
    session_id: int = Field(examples=[12])
    chat: str = Field(
        description="Later events of this chat wait for it.", examples=["15550001111@s.whatsapp.net"]
    )
    event: str = Field(examples=["message.created"])
    state: State
    failures: int = Field(examples=[0])
    answer: str | None = Field(description="The last answer that was no success.", examples=["500 Oops"])
    due_at: Time | None
    created_at: Time | None
    ended_at: Time | None


class DeliveryListReply(Success[list[DeliveryData]]):
    next_cursor: Cursor | None = Field(description="Null on the last page.")


class TestedData(BaseModel):
    is_taken: bool = Field(description="Whether the receiver answered 2xx.", examples=[True])
    status: int | None = Field(description="Its answer; null where none came.", examples=[200])
    answer: str = Field(description="The answer, or why none came, in words.", examples=["200 OK"])


class TestedReply(Success[TestedData]):
    pass


class RedriveFields(Body):
    ids: list[int] | None = Field(
        None,
        max_length=_MOST,
        description="Left out: all.",
        examples=[[4711]],
        json_schema_extra=NULLABLE,
    )


class RedrivenData(BaseModel):
    redriven: int = Field(description="How many are due again.", examples=[2])


class RedrivenReply(Success[RedrivenData]):
    pass
