"""The models of answers to customers."""

from typing import Annotated, Any, Literal

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


class OldMessage(BaseModel):
    """As `POST /send-message` of WasenderAPI takes it; unknown fields are passed over."""

    to: str = Field(description="A phone number, or a JID.", examples=["15550002222"])
    text: Words | None = None
    imageUrl: str | None = Field(None, examples=[None])
    videoUrl: str | None = Field(None, examples=[None])
    documentUrl: str | None = Field(None, examples=[None])
    audioUrl: str | None = Field(None, examples=[None])
    stickerUrl: str | None = Field(None, examples=[None])
    fileName: str | None = Field(None, examples=[None])
    viewOnce: bool | None = Field(None, examples=[None])
    location: LocationFields | None = Field(None, examples=[None])
    contact: ContactFields | None = Field(None, examples=[None])
    poll: dict[str, Any] | None = Field(None, examples=[None])
    replyTo: int | None = Field(None, description="`msgId` of an own message.", examples=[None])
    mentions: list[str] | None = Field(None, examples=[None])


class TakenData(BaseModel):
    msgId: int = Field(description="The gateway's number of the message.", examples=[100000])
    jid: str = Field(examples=["15550002222"])
    status: str = Field(examples=["in_progress"])


class TakenReply(Success[TakenData]):
    pass


class OldInfo(BaseModel):
    remoteJid: str = Field(examples=["15550002222@s.whatsapp.net"])
    id: str | None = Field(description="WhatsApp's id, once it is known.", examples=["3EB0A1"])
    msgId: int = Field(examples=[100000])
    key: dict[str, Any] = Field(examples=[{"id": "3EB0A1", "fromMe": True}])
    message: dict[str, Any] = Field(examples=[{"conversation": "Hello"}])
    messageTimestamp: str = Field(examples=["1764000000"])
    status: int = Field(
        description="0 failed, 1 pending, 2 sent, 3 delivered, 4 read, 5 played.", examples=[2]
    )


class OldInfoReply(Success[OldInfo]):
    pass


class OldDeletedReply(BaseModel):
    success: Literal[True]
    message: str = Field(examples=["Message deleted successfully."])


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
