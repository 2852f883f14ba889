"""What the simulator remembers, and how it gets to disk and back.

One JSON file, readable by its owner only (it holds keys), replaced as a whole: a process that dies while
writing leaves the former state. It is not fsynced: it must survive a killed process, not a power cut.
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from gateway.domain.errors import ConfigError
from gateway.simulator import identity

MAX_LOG_ROWS = 200
MAX_SENT_KEPT = 1_000
MAX_RECEIVED_KEPT = 1_000

T = TypeVar("T")


@dataclass(slots=True)
class SimulatedSession:
    """One WhatsApp number. `linked` says whether it can connect without a new scan."""

    id: int
    name: str
    phone_number: str
    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    created_at: float
    updated_at: float
    status: str = "disconnected"
    linked: bool = False
    account_protection: bool = True
    log_messages: bool = True
    read_incoming_messages: bool = False
    webhook_url: str | None = None
    webhook_enabled: bool = False
    webhook_events: list[str] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    """`ignore_groups`, `always_online`, `proxy_url` and their like."""
    logs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def jid(self) -> str:
        """The session's own address."""
        return identity.phone_jid(self.phone_number)


@dataclass(slots=True)
class SentMessage:
    """A message taken over by `/send-message`. `state`: 0 error, 1 pending, 2 sent, 3 delivered, 4 read, 5 played."""

    msg_id: int
    session_id: int
    to: str
    jid: str
    request: dict[str, Any]
    message: dict[str, Any]
    key_id: str
    created_at: float
    updated_at: float
    state: int = 1
    failed_reason: str | None = None
    script: list[int] = field(default_factory=lambda: [2, 3, 4])
    """The states that are still to be reported, in this order."""
    announced: bool = False
    """Whether `message.sent` and the echo have gone out."""
    will_fail: str | None = None
    """Why it fails when its time comes."""
    oddities: list[str] = field(default_factory=list)
    """Modes that were on when it was taken over and tell how it is announced."""
    media: dict[str, Any] | None = None
    """`kind, mime, name, bytes, sha256` of its file, and `hosted`, the name of the encrypted one."""
    edited: bool = False
    deleted: bool = False

    @property
    def key(self) -> dict[str, Any]:
        """The message's key, as webhooks name it."""
        return {"id": self.key_id, "fromMe": True, "remoteJid": self.jid}

    @property
    def log_status(self) -> str:
        """The state in the words of message logs: `failed`, `in_progress` or `sent`."""
        return {0: "failed", 1: "in_progress"}.get(self.state, "sent")


@dataclass(slots=True)
class Contact:
    """Somebody a session has exchanged messages with."""

    phone: str
    name: str
    lid: str
    lid_known: bool = True
    """False: `/pn-from-lid` does not know this one."""
    blocked: bool = False
    wrote_at: float | None = None
    """When this one last wrote; None: a first contact."""


@dataclass(slots=True)
class HostedFile:
    """An encrypted file at WhatsApp. Hashes and key in base64."""

    name: str
    kind: str
    media_key: str = field(repr=False)
    sha256: str
    enc_sha256: str
    bytes: int
    created_at: float
    troubles: list[str] = field(default_factory=list)
    status: int | None = None
    """What the host answers instead of the file."""


@dataclass(slots=True)
class PlainFile:
    """A file that upstream holds for a while: an upload, or a decrypted one. `sha256` in hexadecimal."""

    name: str
    mime: str
    sha256: str
    bytes: int
    created_at: float


@dataclass(slots=True)
class Group:
    """A group that a session is in."""

    jid: str
    subject: str
    created_at: float
    owner: str
    participants: dict[str, str | None] = field(default_factory=dict)
    """JID → `admin`, `superadmin` or None."""
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class World:
    """The whole state. Ids only grow, also over a reset: a deleted session's number never comes back."""

    account_token: str = field(repr=False)
    next_session_id: int = 1
    next_msg_id: int = 100_000
    next_log_id: int = 1
    sessions: dict[int, SimulatedSession] = field(default_factory=dict)
    sent: dict[int, SentMessage] = field(default_factory=dict)
    contacts: dict[int, dict[str, Contact]] = field(default_factory=dict)
    groups: dict[int, dict[str, Group]] = field(default_factory=dict)
    received: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Newest messages that came by the phone, by WhatsApp id: what a chat shows, and what may be quoted."""
    told: dict[str, list[str]] = field(default_factory=dict)
    """By WhatsApp id: digests of the `{key, message}` pairs that webhooks have carried, for `replyToObject`."""
    hosted: dict[str, HostedFile] = field(default_factory=dict)
    uploads: dict[str, PlainFile] = field(default_factory=dict)
    decrypted: dict[str, PlainFile] = field(default_factory=dict)
    not_on_whatsapp: list[str] = field(default_factory=list)

    def of_session(self, session_id: int) -> list[SentMessage]:
        """The messages that the session sent, oldest first."""
        return [sent for sent in self.sent.values() if sent.session_id == session_id]

    def trim(self) -> None:
        """Forgets the oldest messages, so that the file stays small however long a demo runs."""
        while len(self.sent) > MAX_SENT_KEPT:
            del self.sent[next(iter(self.sent))]
        while len(self.received) > MAX_RECEIVED_KEPT:
            gone = next(iter(self.received))
            del self.received[gone]
            self.told.pop(gone, None)
        for session in self.sessions.values():
            del session.logs[:-MAX_LOG_ROWS]


def _known(kind: type[T], row: dict[str, Any]) -> T:
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in row.items() if name in names})


def to_json(world: World) -> bytes:
    """The world as it is written to disk."""
    # The standard json, here and in the webhooks: it writes and reads lone surrogates, which a test may send.
    return json.dumps(asdict(world)).encode()


def from_json(raw: bytes) -> World:
    """Raises ValueError, KeyError, TypeError or AttributeError on what is not a state file of ours."""
    saved = json.loads(raw)
    world = _known(World, saved)
    world.sessions = {int(n): _known(SimulatedSession, row) for n, row in saved["sessions"].items()}
    world.sent = {int(n): _known(SentMessage, row) for n, row in saved["sent"].items()}
    world.contacts = {
        int(n): {phone: _known(Contact, row) for phone, row in rows.items()}
        for n, rows in saved["contacts"].items()
    }
    world.groups = {
        int(n): {jid: _known(Group, row) for jid, row in rows.items()} for n, rows in saved["groups"].items()
    }
    for name, kind in (("hosted", HostedFile), ("uploads", PlainFile), ("decrypted", PlainFile)):
        rows: dict[str, Any] = saved.get(name, {})
        setattr(world, name, {key: _known(kind, row) for key, row in rows.items()})
    return world


def load(path: Path | None, account_token: str | None) -> World:
    """The saved world, or a new one. Raises ConfigError when the file is there and cannot be used."""
    try:
        world = from_json(path.read_bytes()) if path else None
    except FileNotFoundError:
        world = None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"The simulator's state in {path} cannot be read ({type(error).__name__}); "
            "move the file away to start afresh."
        ) from None
    if world is None:
        return World(account_token=account_token or identity.new_account_token())
    if account_token:
        world.account_token = account_token
    return world


def save(world: World, path: Path) -> None:
    """Replaces the file at once; mode 0600 from its first byte. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(to_json(world))
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
