"""What the work with files needs from the rooms around it. They satisfy the protocols by shape."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gateway.domain.media import MediaKind, MediaSource, MediaState


class WrongFile(Exception):
    """What came is not the file of the message; the text says why, as part of a sentence."""


class NotThere(Exception):
    """The host has the file no more, or does not give it; the text says what it said, as part of a sentence."""


class NotNow(Exception):
    """The file did not come this time, and may later; the text says why, as part of a sentence."""


Place = Literal["new", "stored", "going"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that this gateway has to fetch."""

    id: str
    session_id: int
    key_id: str
    """WhatsApp's id of the message."""
    kind: MediaKind
    mime: str | None
    name: str | None
    part: str
    source: MediaSource
    tries: int
    age_s: float
    """Since its message came."""


@dataclass(frozen=True, slots=True)
class MediaRow:
    """A file as it stands."""

    id: str
    session_id: int | None
    """None for an upload that no message has yet."""
    state: MediaState
    reason: str | None
    kind: MediaKind
    mime: str | None
    name: str | None
    sha256: str | None
    bytes: int | None
    type: str | None
    """What its bytes say that it is."""
    made_by: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file on this disk, checked."""

    path: str
    sha256: str
    bytes: int
    type: str
    news: dict[str, Any] = field(default_factory=dict)
    """What it tells of itself that its message did not say."""


class MediaStore(Protocol):
    """The rows of files. Every call raises StoreUnavailable."""

    async def claim(self, most: int) -> list[Wanted]:
        """Files that this gateway has to fetch now. They are its own until HOLD_S are over, or `hold` is called."""

    async def hold(self, ids: Sequence[str]) -> None:
        """This gateway is still at work on them."""

    async def put_off(self, media_id: str, seconds: float, error: str) -> None:
        """Lets it be tried again later, by any gateway."""

    async def reserve(self, media_id: str, fetched: Fetched) -> Place:
        """Before its bytes are put into the media store: whether they stand there already."""

    async def settle_stored(self, media_id: str, fetched: Fetched) -> bool:
        """The bytes stand in the media store. False if another gateway has taken the work."""

    async def settle_lost(self, media_id: str, reason: str) -> bool:
        """The file cannot be had. False if another gateway has taken the work."""

    async def take_turn(self, session_id: int) -> bool:
        """Whether this gateway may make a call of the background for the session now."""

    async def end_turn(self, session_id: int) -> None:
        """The call is over."""

    async def key_of(self, session_id: int) -> str | None:
        """The session's API key; None if there is none."""


class Opening(Protocol):
    """Takes a file piece by piece, and says at its end whether it is the right one. CPU: call it in a thread."""

    size: int

    @property
    def sha256(self) -> str:
        """Of the plain file so far, in hexadecimal."""

    def open(self, piece: bytes) -> bytes:
        """The plain bytes that this piece makes known."""

    def finish(self) -> bytes:
        """The last plain bytes. Raises WrongFile."""


class FileHost(Protocol):
    """Where encrypted files lie, and upstream, which decrypts them."""

    def opening(self, wanted: Wanted) -> Opening:
        """What opens the file as WhatsApp holds it. Raises WrongFile."""

    def checking(self, wanted: Wanted) -> Opening:
        """What checks the file as upstream gives it. Raises WrongFile."""

    def read(self, url: str, most: int) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The file at an address, in pieces. Raises NotThere, NotNow, and WrongFile beyond `most` bytes."""

    def read_decrypted(self, url: str, most: int) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """As `read`, of an address that upstream gave."""

    def most_of(self, wanted: Wanted) -> int:
        """The most bytes that the encrypted file may have."""

    async def decrypted_url(self, api_key: str, wanted: Wanted) -> str:
        """Where upstream has the decrypted file. Raises NotThere if that is final, NotNow otherwise."""
