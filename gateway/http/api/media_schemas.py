"""The models of files: what a message says of its file, `/api/media`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from gateway.http.api.schemas import Asked, Body, Success, Time

MOST_LINKS = 200
MediaId = "6f1c9b1e-9d0c-4a57-8f0e-0c9f0f3f6f11"


class MediaData(BaseModel):
    """The file of a message."""

    id: str = Field(description="For `GET /api/media/{media}`.", examples=[MediaId])
    state: Literal["pending", "stored", "lost"] = Field(
        description="pending: it is being fetched. lost: it cannot be had any more.", examples=["stored"]
    )
    reason: str | None = Field(None, description="Why it is lost, in words.", examples=[None])
    kind: Literal["image", "video", "audio", "document", "sticker"] = Field(examples=["image"])
    mime: str | None = Field(description="As the sender names it.", examples=["image/jpeg"])
    name: str | None = Field(description="Of a document.", examples=[None])
    bytes: int | None = Field(description="As the sender says, until it is stored.", examples=[48211])
    width: int | None = Field(None, examples=[1600])
    height: int | None = Field(None, examples=[1200])
    seconds: int | None = Field(None, examples=[None])
    pages: int | None = Field(None, examples=[None])
    waveform: list[int] | None = Field(
        None, description="Of a voice note: how loud it is over its length, 0 to 100.", examples=[None]
    )
    preview: str | None = Field(
        None,
        description="The sender's own small picture, at most 2 KiB.",
        examples=["data:image/jpeg;base64,…"],
    )


class MediaQuery(Body):
    size: Literal["thumb"] | None = Field(
        None, description="`thumb`: a JPEG of at most 320 pixels; of images only."
    )
    download: Asked | None = Field(None, description="To be saved, not shown.")
    link: str = Field("", description="From `POST /api/media/links`, instead of a login.")


class MediaHeaders(Body):
    Range: str = Field("", description="One range of bytes.", examples=["bytes=0-1023"])


class MediaIds(Body):
    ids: list[Annotated[str, Field(max_length=64)]] = Field(
        min_length=1, max_length=MOST_LINKS, examples=[[MediaId]]
    )


class LinksData(BaseModel):
    links: dict[str, str] = Field(
        description="A path for each id, with what opens it.",
        examples=[{MediaId: f"/api/media/{MediaId}?link=…"}],
    )
    expires_at: Time
    life_s: float = Field(examples=[600])


class LinksReply(Success[LinksData]):
    pass


class UploadQuery(Body):
    name: str = Field("", description="Name of the file.", examples=["invoice.pdf"])


class UploadData(BaseModel):
    id: str = Field(description="For `media` of a message.", examples=[MediaId])
    kind: Literal["image", "video", "audio", "document", "sticker"] = Field(examples=["document"])
    mime: str = Field(examples=["application/pdf"])
    bytes: int = Field(examples=[48211])
    name: str | None = Field(None, examples=["invoice.pdf"])


class UploadReply(Success[UploadData]):
    pass


class PublicUrlReply(BaseModel):
    success: Literal[True] = True
    publicUrl: str = Field(examples=[f"https://gateway.example/api/media/{MediaId}?link=…"])


class DecryptRequest(Body):
    data: dict[str, Any] = Field(
        description="`messages` of the webhook: its `key.id` and one message with a file.",
        examples=[
            {
                "messages": {
                    "key": {"id": "3EB0A1"},
                    "message": {"imageMessage": {"url": "…", "mediaKey": "…"}},
                }
            }
        ],
    )
