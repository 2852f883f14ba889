"""What an operation of the REST API is: who may call it, what goes in, what comes out, what can go wrong."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from gateway.domain.access import RoleName

Tag = Literal[
    "Sessions",
    "Linking",
    "Inbox",
    "Sending",
    "Files",
    "Logins and tickets",
    "People",
    "Webhooks",
    "Webhook targets",
    "Journal",
    "Health",
]


@dataclass(frozen=True, slots=True)
class Reply:
    """A success. Several of one status differ by their media type."""

    model: type[BaseModel] | None = None
    status: int = 200
    text: str = "Done."
    media: str = "application/json"


@dataclass(frozen=True, slots=True)
class Operation:
    """`errors` are codes of domain/errors.py; `role` is the least one, None = open to every caller."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    tag: Tag
    id: str
    summary: str
    replies: tuple[Reply, ...]
    role: RoleName | None = None
    notes: str = ""
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    is_body_needed: bool = True
    takes_file: bool = False
    """The body is a file, of any type."""
    needs_one_session: bool = False
    """A call of WasenderAPI's: the token names the one session that it is for."""
    errors: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


LIST, ONE = "/api/whatsapp-sessions", "/api/whatsapp-sessions/{id}"
CHAT = "/api/conversations/{chat}"
HOOK = "/api/whatsapp/webhook"

STORE = ("unavailable",)
BODY = ("invalid", "too_large")
UPSTREAM = (
    "invalid",
    "upstream_unauthorized",
    "upstream_limit",
    "rate_limited",
    "upstream_error",
    "upstream_timeout",
)
ABOUT_ONE = ("session_not_found", *UPSTREAM)
HTML = "text/html"
