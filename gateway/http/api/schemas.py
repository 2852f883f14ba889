"""What goes over REST, as models: the one source of the API's description.

Requests forbid what they do not know, replies do not: fields may be added at any time. A reply's field without
a default is always there; one with a default may be missing. Every field has an example, because the document's
example replies are put together from them.
"""

from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic.config import JsonDict
from pydantic.json_schema import JsonSchemaValue

from gateway.domain.access import RoleName
from gateway.domain.errors import Action
from gateway.domain.session import MAX_SESSION_ID
from gateway.http.errors import STATUSES
from gateway.http.responses import MAX_LIMIT
from gateway.services.auth.claims import MAX_SESSIONS

T = TypeVar("T")

TIME = "2026-11-23T10:00:00.123Z"
CODES = sorted(set(STATUSES) - {"config"})

SessionIdField = Annotated[int, Field(ge=0, le=MAX_SESSION_ID, examples=[12])]
Time = Annotated[str, Field(examples=[TIME], json_schema_extra={"format": "date-time"})]
Text = Annotated[str, Field(examples=["…"])]
Flag = Annotated[bool, Field(examples=[True])]
Count = Annotated[int, Field(ge=0, examples=[1])]
Status = Annotated[
    str,
    Field(
        description="disconnected, connecting, need_scan, need_passkey, connected, logged_out, expired or gone. "
        "WhatsApp adds words without notice; those pass through.",
        examples=["connected"],
    ),
]
Url = Annotated[str, Field(examples=["https://shop.example/api/whatsapp/webhook"])]
Cursor = Annotated[str, Field(examples=["NTA"])]


# ------------------------------------------------------------------------------------------ what callers send


def _number(value: object) -> object:
    """Digits as a number: a query has only text, and some callers send ids as they stand in an address."""
    is_digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19
    return int(value) if is_digits and isinstance(value, str) else value


def _session_id(value: object) -> object:
    number = _number(value)
    if type(number) is int and 0 <= number <= MAX_SESSION_ID:
        return number
    raise ValueError(f"A session id is digits only, as WasenderAPI gives it, not {str(value)[:40]!r}.")


def _listed_session_id(value: object) -> object:
    """Also the placeholder below zero that another writer put into a row: it is listed, so it can be asked for."""
    if isinstance(value, str) and value.startswith("-"):
        return -int(str(_session_id(value[1:])))
    return value if type(value) is int and -MAX_SESSION_ID <= value < 0 else _session_id(value)


def _flag(value: object) -> object:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    return words.get(value.lower(), value) if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _text(value: object) -> object:
    return str(value) if type(value) is int and abs(value) <= MAX_SESSION_ID else value


SessionWish = Annotated[SessionIdField, BeforeValidator(_session_id)]
ListedSessionWish = Annotated[
    int, Field(ge=-MAX_SESSION_ID, le=MAX_SESSION_ID, examples=[12]), BeforeValidator(_listed_session_id)
]
SessionsWish = Literal["*"] | Annotated[list[SessionIdField], Field(max_length=MAX_SESSIONS)]
RoleWish = Annotated[RoleName, BeforeValidator(_lower)]
TextWish = Annotated[
    str,
    Field(max_length=200),
    BeforeValidator(_text),
    WithJsonSchema({"anyOf": [{"type": "string", "maxLength": 200}, {"type": "integer"}]}, mode="validation"),
]
"""A text; a number counts as the text it is written as."""
Asked = Annotated[
    bool,
    BeforeValidator(_flag),
    WithJsonSchema({"type": "string", "enum": ["1", "0", "true", "false"]}, mode="validation"),
]
Limit = Annotated[
    int,
    Field(ge=1, le=MAX_LIMIT, description="How many rows at most.", examples=[50]),
    BeforeValidator(_number),
]


NULLABLE: JsonDict = {"nullable": True}
"""Marks a field of a request that may be null. Without it, None only means that the field may be left out."""


class Body(BaseModel):
    """What a caller sends, in a body or a query; `http/requests.py` reads it by the model."""

    model_config = ConfigDict(extra="forbid", strict=True)

    is_form: ClassVar[bool] = False
    """Whether the sentences of its checks stand beside the fields of a form: a refusal then names the field, too."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core_schema))
        for field in schema.get("properties", {}).values():
            if field.get("default", "") is None:
                del field["default"]
                if not field.pop("nullable", False):
                    _drop_null(field)
        return schema


def _drop_null(field: dict[str, Any]) -> None:
    kinds = [kind for kind in field.pop("anyOf") if kind != {"type": "null"}]
    if len(kinds) > 1:
        field["anyOf"] = kinds
        return
    for key, value in kinds[0].items():
        field.setdefault(key, value)


class Success(BaseModel, Generic[T]):
    success: Literal[True]
    data: T


class ErrorReply(BaseModel):
    """The answer to everything that did not work."""

    success: Literal[False]
    error: str = Field(description="One sentence for people.", examples=["Session 12 is not there."])
    message: str = Field(description="The same, where WasenderAPI's clients look for it.", examples=[""])
    code: str = Field(description="One word for programs.", json_schema_extra={"enum": [*CODES]})
    action: Action | None = Field(description="What a page can offer.")
    retry_after_s: int | None = Field(
        description="Seconds to wait before the next try; also as `Retry-After`.", examples=[None]
    )
    details: dict[str, Any] | None = Field(
        description="`errors` holds sentences by field, `sessions` the ids to choose from.", examples=[None]
    )
    request_id: str = Field(
        description="Names the request in the gateway's log; also as `X-Request-Id`.", examples=["3f9a1c-2a"]
    )
    retry_after: int | None = Field(
        None,
        description="As `retry_after_s`, under WasenderAPI's name; left out if nothing is to wait for.",
        examples=[5],
    )
    errors: dict[str, Any] | None = Field(
        None,
        description="As `details.errors`, under WasenderAPI's name; left out if there are none.",
        examples=[None],
    )


class EmptyReply(Success[None]):
    pass


# ------------------------------------------------------------------------------------------ logins


class Me(BaseModel):
    """Who is logged in, and what a page should know of this gateway."""

    sub: str = Field(examples=["anna"])
    name: str = Field(examples=["Anna"])
    role: RoleName
    sessions: Literal["*"] | list[int] = Field(description="`*` means all.", examples=["*"])
    expires_at: float | None = Field(description="Unix seconds.", examples=[1795000000])
    timezone: str = Field(description="Day lines are drawn in it.", examples=["UTC"])
    simulator: bool = Field(description="A simulated phone stands at /simulator.", examples=[False])
    can_send: bool = Field(description="Replies can be sent.", examples=[True])
    can_record: bool = Field(description="Voice notes that a browser records can be sent.", examples=[True])


class MeReply(Success[Me]):
    pass


class TicketWish(Body):
    """A ticket may do no more than the login that asks for it."""

    purpose: Literal["ws", "embed"] = Field("ws", alias="for", examples=["embed"])
    role: RoleWish | None = Field(
        None, description="Left out: your own.", examples=["agent"], json_schema_extra=NULLABLE
    )
    sessions: SessionsWish | None = Field(
        None, description="Left out: your own.", examples=[[12]], json_schema_extra=NULLABLE
    )
    sub: TextWish | None = Field(
        None,
        description="Which person it is for: limits and `created_by` count by it. From an agent's or admin's Bearer "
        "token only.",
        examples=["shop-user-17"],
        json_schema_extra=NULLABLE,
    )
    name: TextWish | None = Field(
        None,
        description="How that person is shown.",
        examples=["Ann"],
        json_schema_extra=NULLABLE,
    )


class TicketData(BaseModel):
    ticket: str = Field(examples=["q3Vx…"])
    expires_in_s: int = Field(examples=[30])


class TicketReply(Success[TicketData]):
    pass


class TicketToRedeem(Body):
    ticket: str = Field(examples=["q3Vx…"])


class TokenData(BaseModel):
    token: str = Field(examples=["eyJhbGciOi…"])
    expires_at: Time


class TokenReply(Success[TokenData]):
    pass


# ------------------------------------------------------------------------------------------ webhooks and health


class Webhook(BaseModel):
    """A webhook of WasenderAPI. Unknown events and shapes are kept, too."""

    model_config = ConfigDict(extra="allow")

    event: str = Field(examples=["messages.received"])
    sessionId: str | None = Field(None, description="The session's API key.", examples=["d5a1…"])
    timestamp: int | None = Field(None, examples=[1795000000])
    data: Any = Field(
        None,
        examples=[
            {"messages": {"key": {"id": "3EB0…", "fromMe": False, "remoteJid": "15550002222@s.whatsapp.net"}}}
        ],
    )


class WebhookHeaders(Body):
    signature: str = Field(
        alias="X-Webhook-Signature", description="The webhook secret of the session.", examples=["7f3a…"]
    )


class Received(BaseModel):
    """The webhook is safe: committed to Postgres, or kept on the gateway's disk until it is."""

    received: Literal[True]


class Alive(BaseModel):
    status: Literal["ok"]
    version: str = Field(examples=["0.1.0"])


class Ready(BaseModel):
    status: str = Field(description="ready, degraded, draining or unavailable.", examples=["ready"])
    why: str | None = Field(None, description="What is wrong, in words.", examples=[None])
    spooled: int | None = Field(
        None, description="Webhooks on the gateway's disk that wait for Postgres.", examples=[None]
    )
