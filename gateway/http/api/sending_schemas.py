"""The models of answers to customers."""

from typing import Annotated

from pydantic import BaseModel, Field

from gateway.domain.send_content import CLIENT_ID_LIMIT, MENTIONS_LIMIT, NAME_LIMIT, TEXT_LIMIT
from gateway.http.api.inbox_schemas import Jid, MessageData, Phone, PositionData
from gateway.http.api.schemas import NULLABLE, Body, SessionWish, Success, Time

Words = Annotated[str, Field(max_length=TEXT_LIMIT, examples=["Yes, in blue."])]
Name = Annotated[str, Field(min_length=1, max_length=NAME_LIMIT)]


class SendQuery(Body):
    session: SessionWish | None = Field(
        None,
        description="May be left out where it is clear: one session has this chat, or there is one only.",
    )


class SendHeaders(Body):
    idempotency_key: str | None = Field(
        None,
        alias="Idempotency-Key",
        max_length=CLIENT_ID_LIMIT,
        description="Instead of `client_id`.",
        examples=["c0ffee01"],
    )


class LocationFields(Body):
    latitude: float = Field(ge=-90, le=90, examples=[52.52])
    longitude: float = Field(ge=-180, le=180, examples=[13.405])
    name: Name | None = Field(None, examples=["Shop"], json_schema_extra=NULLABLE)
    address: Name | None = Field(None, examples=["Torstr. 1"], json_schema_extra=NULLABLE)


class ContactFields(Body):
    name: Name = Field(examples=["Ben"])
    phone: str = Field(description="With its country code.", max_length=40, examples=["+15550003333"])


class NewMessage(Body):
    """A text, a file (with or without a text), a place, or a contact."""

    client_id: str | None = Field(
        None,
        min_length=1,
        max_length=CLIENT_ID_LIMIT,
        description="The sender's own id of the message, or an `Idempotency-Key`: the same twice is one message.",
        examples=["c0ffee01"],
    )
    text: Words | None = Field(None, json_schema_extra=NULLABLE)
    media: str | None = Field(
        None,
        max_length=NAME_LIMIT,
        description="Id of an uploaded file.",
        examples=[None],
        json_schema_extra=NULLABLE,
    )
    location: LocationFields | None = Field(None, json_schema_extra=NULLABLE)
    contact: ContactFields | None = Field(None, json_schema_extra=NULLABLE)
    reply_to: str | None = Field(
        None,
        pattern=r"^(in|out):[^\s:]{1,64}$",
        description="The message it answers.",
        examples=["in:5"],
        json_schema_extra=NULLABLE,
    )
    mentions: list[str] | None = Field(
        None,
        max_length=MENTIONS_LIMIT,
        description="Phone numbers or JIDs.",
        examples=[["15550002222"]],
        json_schema_extra=NULLABLE,
    )
    seen: PositionData | None = Field(
        None,
        description="How far its author had read: an answer of another person behind it is told first (409 "
        "`newer_reply`).",
        json_schema_extra=NULLABLE,
    )
    send_at: Time | None = Field(
        None, description="Not before; within a year. With a time zone.", json_schema_extra=NULLABLE
    )


class EditFields(Body):
    text: Words


class SettleFields(Body):
    sent: bool = Field(description="Whether the customer has it.", examples=[True])


class TypingFields(Body):
    typing: bool = Field(True, description="False: has stopped.", examples=[True])


class SentReply(Success[MessageData]):
    pass


class TypingData(BaseModel):
    shown: bool = Field(description="False: it was shown less than 10 s ago.", examples=[True])


class TypingReply(Success[TypingData]):
    pass


class NumberData(BaseModel):
    chat: Jid
    phone: Phone | None
    exists: bool = Field(description="Whether the number has WhatsApp.", examples=[True])
    checked_at: Time


class NumberReply(Success[NumberData]):
    pass
