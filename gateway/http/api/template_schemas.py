"""The models of `/api/templates`."""

from pydantic import BaseModel, Field

from gateway.http.api.schemas import NULLABLE, Body, SessionWish, Success

_SHORTCUT = "What people type behind the slash; without spaces."
_TEXT = "`{name}` and `{number}` stand for the customer's."
_MEDIA = "Id of an upload of yours (`POST /api/media`); null takes the file away."


class TemplateQuery(Body):
    session: SessionWish | None = Field(
        None, description="Those for this session: its own, and those for all."
    )


class NewTemplateFields(Body):
    """A text, a file, or both."""

    session_id: SessionWish | None = Field(
        None, description="Left out or null: for all sessions.", examples=[12], json_schema_extra=NULLABLE
    )
    shortcut: str = Field(min_length=1, max_length=32, description=_SHORTCUT, examples=["hours"])
    text: str = Field("", max_length=4096, description=_TEXT, examples=["Hello {name}, we are open until 7."])
    media: str | None = Field(
        None, max_length=64, description=_MEDIA, examples=[None], json_schema_extra=NULLABLE
    )


class TemplateFields(Body):
    """Only what is sent changes."""

    session_id: SessionWish | None = Field(None, examples=[12], json_schema_extra=NULLABLE)
    shortcut: str | None = Field(None, min_length=1, max_length=32, description=_SHORTCUT, examples=["hours"])
    text: str | None = Field(None, max_length=4096, description=_TEXT, examples=["We are open until 7."])
    media: str | None = Field(
        None, max_length=64, description=_MEDIA, examples=[None], json_schema_extra=NULLABLE
    )


class TemplateFileData(BaseModel):
    id: str = Field(examples=["6f1c9b1e-9d0c-4a57-8f0e-0c9f0f3f6f11"])
    kind: str = Field(examples=["image"])
    mime: str | None = Field(examples=["image/jpeg"])
    name: str | None = Field(examples=["menu.jpg"])
    bytes: int = Field(examples=[51200])


class TemplateData(BaseModel):
    id: int = Field(examples=[3])
    session_id: int | None = Field(description="null: for all sessions.", examples=[12])
    shortcut: str = Field(examples=["hours"])
    text: str = Field(examples=["Hello {name}, we are open until 7."])
    media: TemplateFileData | None


class TemplateReply(Success[TemplateData]):
    pass


class TemplateListReply(Success[list[TemplateData]]):
    pass


class TemplateFileReply(Success[TemplateFileData]):
    pass
