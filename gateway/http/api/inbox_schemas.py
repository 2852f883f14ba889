"""The models of `/api/conversations`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.domain.message import Direction
from gateway.http.api.media_schemas import MediaData
from gateway.http.api.schemas import (
    NULLABLE,
    Asked,
    Body,
    Cursor,
    Limit,
    ListedSessionWish,
    SessionIdField,
    Success,
    Time,
)
from gateway.http.responses import DEFAULT_LIMIT
from gateway.services.inbox import ConversationFilter

Jid = Annotated[str, Field(examples=["15550002222@s.whatsapp.net"])]
Phone = Annotated[str, Field(description="Digits; null when unknown.", examples=["15550002222"])]


class ReactionData(BaseModel):
    """What a person thinks of a message."""

    emoji: str = Field(examples=["👍"])
    by: str = Field(description="`me`, the digits of a number, or a LID.", examples=["15550002222"])
    name: str | None = Field(None, examples=["Ben"])
    at: Time


class MessageData(BaseModel):
    """A message: the row's columns without the raw webhook, and what every client needs to place it.

    Incoming and outgoing rows have columns of their own; a shop's table may have more.
    """

    model_config = ConfigDict(extra="allow")

    id: str = Field(description="Unique per direction.", examples=["512"])
    ref: str = Field(description="Names the message in either direction.", examples=["in:512"])
    direction: Direction
    session_id: SessionIdField = Field(description="0 when the row names no session.")
    chat: Jid | None
    phone: Phone | None
    columns: dict[str, Any] | None = Field(
        None,
        description="Of the shop's own columns whose names stand here for something else.",
        examples=[None],
    )
    message_text: str | None = Field(None, examples=["Is it still available?"])
    message_type: str | None = Field(
        None,
        description="text, image, video, audio, document, sticker, location, contact, poll, order, product, payment, "
        "event, call or unknown; a message of type unknown may still get its content.",
        examples=["text"],
    )
    media_url: str | None = Field(None, examples=[None])
    media: MediaData | None = Field(None, description="Null for none.", examples=[None])
    created_at: Time | None = None
    edited_at: Time | None = Field(None, examples=[None])
    edited_on_phone: bool | None = Field(
        None, description="The newest edit can be read on the phone only.", examples=[None]
    )
    reactions: list[ReactionData] | None = Field(None, description="Null for none.", examples=[None])
    deleted_at: Time | None = Field(None, description="The row stays.", examples=[None])
    wa_key_id: str | None = Field(None, description="WhatsApp's own id.", examples=["3EB0A1…"])
    message_id: str | None = Field(None, description="Incoming only.", examples=["3EB0A1…"])
    from_phone: str | None = Field(None, description="Incoming only.", examples=["15550002222"])
    push_name: str | None = Field(None, description="Incoming only.", examples=["Ben"])
    received_at: Time | None = Field(None, description="Incoming only.")
    is_read: bool | None = Field(None, description="Incoming only.", examples=[False])
    replied: bool | None = Field(None, description="Incoming only.", examples=[False])
    client_id: str | None = Field(None, description="Outgoing only.", examples=[None])
    to_phone: str | None = Field(None, description="Outgoing only.", examples=[None])
    status: str | None = Field(
        None,
        description="Outgoing only: queued, sending, accepted, sent, delivered, read, played, failed, unknown or "
        "cancelled.",
        examples=[None],
    )
    error: str | None = Field(None, description="Outgoing only: why it failed.", examples=[None])
    error_code: str | None = Field(None, description="Outgoing only: the same in a word.", examples=[None])
    send_after: Time | None = Field(
        None, description="Outgoing only: when it may go, as wished or as foreseen.", examples=[None]
    )
    queue_position: int | None = Field(
        None,
        description="Of a queued message, in answers and threads; from 1, null behind the first 10,000.",
        examples=[None],
    )
    overtaken_by: str | None = Field(
        None, description="Outgoing only: an answer that another person gave meanwhile.", examples=[None]
    )
    queued_at: Time | None = Field(None, description="Outgoing only.", examples=[None])
    sending_at: Time | None = Field(None, description="Outgoing only.", examples=[None])
    accepted_at: Time | None = Field(None, description="Outgoing only.", examples=[None])
    played_at: Time | None = Field(None, description="Outgoing only.", examples=[None])
    sent_at: Time | None = Field(None, description="Outgoing only.", examples=[None])
    delivered_at: Time | None = Field(None, description="Outgoing only.", examples=[None])
    read_at: Time | None = Field(None, description="Outgoing only.", examples=[None])


class ThreadMessage(MessageData):
    at: Time = Field(
        description="The time that orders the thread; within one second the order is that of arrival."
    )
    arrived_at: Time = Field(description="When the row was made.")
    sender_name: str | None = Field(
        None, description="In groups: the sender's name, if known.", examples=[None]
    )


class PositionData(BaseModel):
    """Where a stream stood when the rows were read: subscribe with it as `after`, and nothing is missed."""

    off: int = Field(examples=[185])
    epoch: str = Field(examples=["5b0f6b0e-6d8c-4c57-9f43-1d2a3b4c5d6e"])


Positions = Annotated[
    dict[str, PositionData],
    Field(
        description="By session id.",
        examples=[{"12": {"off": 185, "epoch": "5b0f6b0e-6d8c-4c57-9f43-1d2a3b4c5d6e"}}],
    ),
]


class ConversationData(BaseModel):
    session_id: SessionIdField
    chat: Jid
    phone: Phone | None
    name: str | None = Field(examples=["Ben"])
    unread: int = Field(examples=[2])
    replied: bool = Field(description="Nothing waits for an answer.", examples=[False])
    last_at: Time
    last_message: MessageData | None
    owner: str | None = Field(description="`sub` of the person who has it.", examples=["user:3"])
    owner_name: str | None = Field(examples=["Ann"])
    done: bool = Field(description="Until the customer writes again.", examples=[False])
    marked_unread: bool = Field(description="`unread` is then at least 1.", examples=[False])
    blocked: bool = Field(description="Blocked from here.", examples=[False])


class TotalsData(BaseModel):
    """How many conversations each filter finds, without groups but in `groups`."""

    all: int = Field(examples=[120])
    unread: int = Field(examples=[7])
    unreplied: int = Field(examples=[12])
    mine: int = Field(examples=[3])
    free: int = Field(examples=[60])
    groups: int = Field(examples=[4])
    done: int = Field(examples=[55])


class ConversationPage(BaseModel):
    conversations: list[ConversationData]
    next_cursor: Cursor | None = Field(description="Null on the last page.")
    totals: TotalsData = Field(description="Of the sessions that were asked for, whatever the filter.")
    position: dict[str, PositionData | str] = Field(
        description="By session id; under `*` one word for all others, if `position=page` was asked for.",
        examples=[{"12": {"off": 185, "epoch": "5b0f6b0e-6d8c-4c57-9f43-1d2a3b4c5d6e"}}],
    )


class ThreadPage(BaseModel):
    messages: list[ThreadMessage] = Field(description="Oldest first.")
    has_more: bool = Field(description="The same as `has_before`.", examples=[False])
    has_before: bool = Field(description="There are older ones.", examples=[False])
    has_after: bool = Field(description="There are newer ones.", examples=[False])
    before: Cursor | None = Field(description="For the page of older messages.", examples=[None])
    after: Cursor | None = Field(description="For the page of newer messages.", examples=[None])
    position: Positions


class MarkedData(BaseModel):
    marked: int = Field(description="How many were unread before.", examples=[2])


class ConversationQuery(Body):
    position: Literal["all", "page"] = Field(
        "all", description="`page`: positions of the page's inboxes, and under `*` one word for all others."
    )
    session: ListedSessionWish | None = Field(None, description="Only this session.")
    filter: ConversationFilter = "all"
    order: Literal["newest", "oldest"] = Field(
        "newest",
        description="`oldest`: who has waited longest stands first, with the same `order` for each page.",
    )
    search: str = Field("", description="Part of a name, a text, or a number.", examples=["ben"])
    limit: Limit = DEFAULT_LIMIT
    cursor: str = Field("", description="`next_cursor` of the page before.")
    groups: Asked | None = Field(None, description="Also groups, channels and status posts.")


class ThreadQuery(Body):
    session: ListedSessionWish | None = Field(
        None, description="May be left out while only one session has this chat."
    )
    before: str = Field(
        "",
        description="What is older: than the page that gave this as `before`, or than the message of this `ref`.",
    )
    after: str = Field(
        "",
        description="What is newer: than the page that gave this as `after`, or than the message of this `ref`.",
    )
    around: str = Field(
        "", description="The message of this `ref` and what stands beside it.", examples=["in:512"]
    )
    limit: Limit = DEFAULT_LIMIT


class ChatQuery(Body):
    session: ListedSessionWish | None = Field(
        None, description="May be left out while only one session has this chat."
    )


class PositionWish(Body):
    """A position, as an event or a page gave it."""

    model_config = ConfigDict(extra="ignore")

    off: int = Field(ge=0, le=2**63 - 1, examples=[185])
    epoch: Annotated[str, Field(pattern=r"^[^\x00]*$", examples=["5b0f6b0e-6d8c-4c57-9f43-1d2a3b4c5d6e"])]


class ReadFields(Body):
    """`session` may stand here instead of in the query."""

    model_config = ConfigDict(extra="ignore")

    session: ListedSessionWish | None = Field(None, json_schema_extra=NULLABLE)
    session_id: ListedSessionWish | None = Field(None, json_schema_extra=NULLABLE)
    up_to: PositionWish | None = Field(
        None,
        json_schema_extra=NULLABLE,
        description="Only what was told up to this position; everything without it.",
    )


class SearchHit(MessageData):
    """A message whose text holds what was looked for. Its `id` is its `ref`."""

    name: str | None = Field(description="Of the conversation.", examples=["Ben"])
    at: Time
    position: PositionData | None = Field(description="Where its inbox stood when it was read.")


class SearchData(BaseModel):
    conversations: list[ConversationData] = Field(
        description="Found by name or number; on the first page of a search without `chat`."
    )
    messages: list[SearchHit] = Field(description="Found by text, newest first.")
    next_cursor: Cursor | None = Field(description="For further messages; null on the last page.")
    position: Positions


class SearchReply(Success[SearchData]):
    pass


def _sought(text: object) -> object:
    words = text.strip() if isinstance(text, str) else text
    if not words:
        raise ValueError("`q` must hold what to look for.")
    return words


class SearchQuery(Body):
    q: Annotated[str, BeforeValidator(_sought)] = Field(
        min_length=1, description="Part of a name, a text, or a number in any formatting.", examples=["ben"]
    )
    session: ListedSessionWish | None = Field(None, description="Only this session.")
    chat: str = Field("", description="Only this conversation.")
    limit: Limit = DEFAULT_LIMIT
    cursor: str = Field("", description="`next_cursor` of the page before.")
    groups: Asked | None = Field(None, description="Also messages of groups.")


class ConversationMarks(BaseModel):
    """The marks of a conversation, as events tell them; all null where there are none any more."""

    session_id: SessionIdField
    chat: Jid | None
    phone: Phone | None
    owner: str | None = Field(description="`sub` of the person who has it.", examples=["user:3"])
    owner_name: str | None = Field(examples=["Ann"])
    done_at: Time | None = Field(description="A message that arrives later opens it again.")
    marked_unread_at: Time | None
    name: str | None = Field(description="Given here.", examples=["Ann from the bakery"])
    blocked_at: Time | None


class MarkFields(Body):
    """What is to change; what is not named stays."""

    session: ListedSessionWish | None = Field(
        None, description="May stand here instead of in the query.", json_schema_extra=NULLABLE
    )
    done: bool | None = Field(None, description="True until the customer writes again.", examples=[True])
    unread: bool | None = Field(
        None, description="For everybody. False also marks its messages as read.", examples=[False]
    )
    owner: str | None = Field(
        None,
        max_length=255,
        description="`sub` of the person who takes it; null gives it back.",
        examples=["user:3"],
        json_schema_extra=NULLABLE,
    )
    name: str | None = Field(
        None,
        max_length=255,
        description="The contact's name here; null for none.",
        examples=["Ann B."],
        json_schema_extra=NULLABLE,
    )
    blocked: bool | None = Field(
        None, description="Blocks the person at WhatsApp, or takes it back.", examples=[False]
    )


class ConversationListReply(Success[ConversationPage]):
    pass


class OneConversation(ConversationData):
    position: Positions


class ConversationReply(Success[OneConversation]):
    pass


class ThreadReply(Success[ThreadPage]):
    pass


class ErasedData(BaseModel):
    erased: int = Field(description="How many messages went.", examples=[42])


class ErasedReply(Success[ErasedData]):
    pass


class ExportQuery(ChatQuery):
    format: Literal["jsonl", "csv", "zip"] = Field(
        "jsonl", description="`zip` holds both others, and the files."
    )


class EraseQuery(ChatQuery):
    erase: Asked | None = Field(None, description="Has to be asked for.")


class MarkedReply(Success[MarkedData]):
    pass
