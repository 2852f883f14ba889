"""The shapes of our protocol's frames: what protocol.py builds and reads, and what /asyncapi.json describes.

Types only: a frame is a plain dict that orjson encodes, and mypy compares it with its shape. What stands inside
`data` is the same as in REST, and described there.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from gateway.domain.streams import MarkEventName, MessageEventName, ResetReason

SAME_AS = "x-same-as"
"""Names a schema of REST in whose place it stands; pydantic itself follows no foreign references."""


def _same_as(name: str) -> WithJsonSchema:
    return WithJsonSchema({SAME_AS: name})


Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Ref = Annotated[
    str | None, Field(max_length=64, description="Chosen by the client; an answer carries it back.")
]
Off = Annotated[int, Field(ge=0, description="Position in the inbox, without gaps.")]
Epoch = Annotated[
    str,
    Field(description="Identity of the inbox's history. With a new one offsets begin to mean other events."),
]
InboxTopic = Annotated[str, Field(pattern="^inbox:[0-9]{1,19}$")]
StateTopic = Annotated[str, Field(pattern="^(sessions|session:[0-9]{1,19})$")]
Topic = Annotated[
    str,
    Field(
        pattern=r"^(inbox:([0-9]{1,19}|\*)|sessions|session:[0-9]{1,19})$",
        description="inbox:<id>, inbox:* (all that one may read, also ones created later), sessions, session:<id>.",
    ),
]


class PositionShape(TypedDict):
    """Everything up to and including `off` of history `epoch`."""

    off: Off
    epoch: Epoch


Positions = Annotated[dict[str, PositionShape], Field(description="By session id.")]


# ------------------------------------------------------------------------------------------------ client → server


class SubscribeFrame(TypedDict):
    """Asks for a topic. Asked for again, the topic starts anew from the new `after`."""

    type: Literal["subscribe"]
    ref: NotRequired[Ref]
    topic: Topic
    after: NotRequired[
        Annotated[
            PositionShape | dict[str, PositionShape | str] | None,
            Field(
                description="Streams only: where the client stands. For inbox:* by session id; an inbox missing there "
                "is replayed from its beginning, or begins where `*` says. Without it the stream starts now."
            ),
        ]
    ]


class UnsubscribeFrame(TypedDict):
    """Ends a subscription."""

    type: Literal["unsubscribe"]
    ref: NotRequired[Ref]
    topic: str


class PingFrame(TypedDict):
    """A sign of life, answered by `pong`. Whoever is not heard for 90 s is closed with 4009."""

    type: Literal["ping"]
    ref: NotRequired[Ref]


class AuthFrame(TypedDict):
    """Who it is: the first frame, where nothing else has said so; later, a new login for the same connection."""

    type: Literal["auth"]
    ref: NotRequired[Ref]
    token: Annotated[str, Field(description="A JWT.")]


class SayPresenceFrame(TypedDict):
    """What the client's person does in a conversation: said every 5 s while it lasts."""

    type: Literal["presence"]
    ref: NotRequired[Ref]
    topic: InboxTopic
    chat: Annotated[str, Field(max_length=128, description="JID of the conversation, or digits of a phone.")]
    doing: Literal["viewing", "typing"]


# ------------------------------------------------------------------------------------------------ server → client


class WelcomeFrame(TypedDict):
    """The connection is admitted."""

    type: Literal["welcome"]
    connection: str
    heartbeat_s: Annotated[int, Field(description="Two heartbeats of silence mean that the line is dead.")]
    version: Annotated[str, Field(description="Of the gateway.")]
    protocol: Literal[1]
    features: Annotated[list[str], Field(description="What this gateway can do besides: `presence`.")]


class SubscribedFrame(TypedDict):
    """The inbox is live: everything up to `off` has been sent before this. Comes again after a reset."""

    type: Literal["subscribed"]
    ref: Ref
    topic: InboxTopic
    off: Off
    epoch: Epoch


class SubscribedAllFrame(TypedDict):
    """All inboxes are live: of each everything up to its `off` has been sent before this."""

    type: Literal["subscribed"]
    ref: Ref
    topic: Literal["inbox:*"]
    tops: Positions
    more: NotRequired[
        Annotated[Literal[True], Field(description="Another frame of the same `ref` names further inboxes.")]
    ]


class EventFrame(TypedDict):
    """One committed change of one message."""

    type: Literal["event"]
    topic: InboxTopic
    off: Off
    event: MessageEventName
    at: Time
    data: Annotated[dict[str, Any], _same_as("MessageData")]
    errors: NotRequired[
        Annotated[
            list[str],
            Field(description="Columns whose values cannot be told (null): 1e400, an infinite time."),
        ]
    ]
    truncated: NotRequired[
        Annotated[
            list[str], Field(description="Columns left out (null), because the frame would be over 256 KiB.")
        ]
    ]


class MarkEventFrame(TypedDict):
    """A conversation's marks have changed: owner, done, unread, name, blocked."""

    type: Literal["event"]
    topic: InboxTopic
    off: Off
    event: MarkEventName
    at: Time
    data: Annotated[dict[str, Any], _same_as("ConversationMarks")]


class ResetFrame(TypedDict):
    """What the client holds of this inbox is of no use: load it by REST. The subscription goes on after `off`."""

    type: Literal["reset"]
    topic: InboxTopic
    reason: ResetReason
    off: Off
    epoch: Epoch


class _State(TypedDict):
    type: Literal["state"]
    topic: StateTopic
    session_id: Annotated[int, Field(ge=0)]
    version: Annotated[int, Field(description="Grows per session. An older one never replaces a newer one.")]
    at: Time
    truncated: NotRequired[list[str]]


class SessionStateFrame(_State):
    """A session as it is now."""

    part: Literal["session"]
    event: Literal["session.created", "session.updated", "session.status"]
    expires_at: None
    data: Annotated[dict[str, Any], _same_as("SessionData")]


class DeletedData(TypedDict):
    id: int
    status: Literal["gone"]


class SessionDeletedFrame(_State):
    """The session is not there any more."""

    part: Literal["session"]
    event: Literal["session.deleted"]
    expires_at: None
    data: DeletedData


class CodeStateFrame(_State):
    """The QR code to scan now. Not for viewers."""

    part: Literal["link"]
    event: Literal["session.qr"]
    expires_at: Annotated[Time | None, Field(description="Afterwards the code must not be shown.")]
    data: Annotated[dict[str, Any], _same_as("CodeData")]


class EndedError(TypedDict):
    code: str
    message: Annotated[str, Field(description="One sentence for people.")]
    action: Annotated[str | None, Field(description="What helps, as in a refusal of the REST API.")]


class LinkTrouble(EndedError):
    retry_at: Annotated[Time | None, Field(description="When the poller asks again.")]


class TroubleData(TypedDict):
    trouble: Annotated[LinkTrouble | None, Field(description="Null once it has passed.")]
    scanned_at: Time | None


class LinkTroubleFrame(_State):
    """The attempt goes on, there is no code to show, and WasenderAPI fails, or does no more. Not for viewers."""

    part: Literal["link"]
    event: Literal["session.link_trouble"]
    expires_at: None
    data: TroubleData


class EndedData(TypedDict):
    reason: Literal["connected", "timeout", "cancelled", "error"]
    error: EndedError | None


class LinkEndedFrame(_State):
    """The attempt to link is over. Not for viewers."""

    part: Literal["link"]
    event: Literal["session.link_ended"]
    expires_at: Time | None
    data: EndedData


class SendingData(TypedDict):
    queued: Annotated[int, Field(description="How many messages wait.")]
    next_at: Annotated[Time | None, Field(description="When the next may go; null while that is not known.")]
    paused_until: Time | None
    reason: Annotated[
        Literal["rate_limit", "not_connected", "restricted", "unauthorized", "subscription", "gone"] | None,
        Field(description="Why nothing goes; `restricted`: why no first contact does."),
    ]


class SendingFrame(_State):
    """How the queue of messages stands. At most once a second."""

    part: Literal["sending"]
    event: Literal["session.sending"]
    expires_at: None
    data: SendingData


StateFrame = (
    SessionStateFrame
    | SessionDeletedFrame
    | CodeStateFrame
    | LinkTroubleFrame
    | LinkEndedFrame
    | SendingFrame
)


class SubscribedStateFrame(TypedDict):
    """A state topic begins with its value. What does not fit follows at once, as frames of its own."""

    type: Literal["subscribed"]
    ref: Ref
    topic: StateTopic
    state: list[StateFrame]


class HeartbeatFrame(TypedDict):
    """Every `heartbeat_s`: how far each inbox that moved since the last one has been sent.

    Where it is ahead of the client, something is missing.
    """

    type: Literal["heartbeat"]
    tops: Annotated[dict[str, Off], Field(description="By topic, inbox:<id>.")]


class PersonShape(TypedDict):
    """A person in a conversation."""

    sub: str
    name: str
    doing: str


class PresenceFrame(TypedDict):
    """Who is in a conversation now, in the place of what was said of it before. No one: the list is empty."""

    type: Literal["presence"]
    topic: InboxTopic
    chat: Annotated[str, Field(description="JID of the conversation.")]
    who: Annotated[list[PersonShape], Field(description="Ends 10 s after a person's last word.")]


class StaleFrame(TypedDict):
    """The gateway cannot hear its database: what is shown may be old."""

    type: Literal["stale"]
    since: Time


class FreshFrame(TypedDict):
    """It hears it again, and everything has been sent."""

    type: Literal["fresh"]


class UnsubscribedFrame(TypedDict):
    """A subscription has ended. Without `ref`, because a new login does not cover it."""

    type: Literal["unsubscribed"]
    ref: Ref
    topic: str


class PongFrame(TypedDict):
    """The answer to `ping`."""

    type: Literal["pong"]
    ref: Ref


class AuthenticatedFrame(TypedDict):
    """The new login holds."""

    type: Literal["authenticated"]
    ref: Ref


class DrainFrame(TypedDict):
    """The gateway ends: come back after this time, spread over all clients. A close with 1012 follows."""

    type: Literal["drain"]
    reconnect_after_ms: Annotated[int, Field(ge=0)]


class ErrorFrame(TypedDict):
    """Something asked for was refused; the connection goes on."""

    type: Literal["error"]
    ref: Ref
    code: Annotated[
        str,
        Field(
            description="unknown_topic, forbidden, bad_frame, not_subscribed, too_many_topics, unauthenticated; or "
            "unavailable: subscribe again in a moment."
        ),
    ]
    message: Annotated[str, Field(max_length=500)]


CLIENT_FRAMES: tuple[type, ...] = (SubscribeFrame, UnsubscribeFrame, PingFrame, AuthFrame, SayPresenceFrame)
SERVER_FRAMES: tuple[type, ...] = (
    WelcomeFrame,
    SubscribedFrame,
    SubscribedAllFrame,
    SubscribedStateFrame,
    EventFrame,
    MarkEventFrame,
    ResetFrame,
    SessionStateFrame,
    SessionDeletedFrame,
    CodeStateFrame,
    LinkTroubleFrame,
    LinkEndedFrame,
    SendingFrame,
    HeartbeatFrame,
    PresenceFrame,
    StaleFrame,
    FreshFrame,
    UnsubscribedFrame,
    PongFrame,
    AuthenticatedFrame,
    DrainFrame,
    ErrorFrame,
)
