"""Every knob, its unit and its default; read once, at the start.

Flags beat environment variables, those beat `.env`. A variable that starts with GATEWAY_ and is not one of ours
is an error: a misspelt setting that is silently ignored costs a night.
"""

import difflib
import io
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from gateway.domain.errors import ConfigError
from gateway.domain.limits import Limits
from gateway.domain.networks import network_of
from gateway.domain.origins import parse_origin
from gateway.services.addresses import TrustedProxies

ENV_FILE = ".env"

# What Kubernetes injects into every pod when a service is called "gateway".
_KUBERNETES = re.compile(r"GATEWAY_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)")


_LIMITS = Limits()

_MOST = {"S": 86_400, "KIB": 1 << 20, "MIB": 1 << 20, "PERCENT": 90}
"""By the unit at the end of a name; of all others so many. More is a slip of the finger, and overflows a timer."""
_MOST_OF_OTHERS = 10_000_000


def _setting(field: str, name: str, **bounds: Any) -> Any:
    unit = "" if name.endswith("PER_S") else name.rpartition("_")[2]
    most = _MOST.get(unit, _MOST_OF_OTHERS)
    return Field(default=getattr(_LIMITS, field), validation_alias=f"GATEWAY_{name}", le=most, **bounds)


class LimitSettings(BaseModel):
    """The limits of docs/settings.md; every field names its variable."""

    request_line_kib: int = _setting("request_line_kib", "REQUEST_LINE_KIB", ge=1)
    headers_kib: int = _setting("headers_kib", "HEADERS_KIB", ge=1)
    headers_count: int = _setting("headers_count", "HEADERS_COUNT", ge=1)
    read_ahead_requests: int = _setting("read_ahead_requests", "READ_AHEAD_REQUESTS", ge=1)
    headers_s: float = _setting("headers_s", "HEADERS_S", gt=0)
    body_s: float = _setting("body_s", "BODY_S", gt=0)
    keep_alive_s: float = _setting("keep_alive_s", "KEEP_ALIVE_S", gt=0)
    connections: int = _setting("connections", "CONNECTIONS_COUNT", ge=0)
    address_connections: int = _setting("address_connections", "ADDRESS_CONNECTIONS_COUNT", ge=1)
    address_strangers: int = _setting("address_strangers", "ADDRESS_STRANGERS_COUNT", ge=1)
    webhook_reserve_percent: int = _setting("webhook_reserve_percent", "WEBHOOK_RESERVE_PERCENT", ge=0)
    webhook_line_s: float = _setting("webhook_line_s", "WEBHOOK_LINE_S", gt=0)
    stranger_bodies_mib: int = _setting("stranger_bodies_mib", "STRANGER_BODIES_MIB", ge=1)
    bodies_mib: int = _setting("bodies_mib", "BODIES_MIB", ge=1)
    stranger_body_kib: int = _setting("stranger_body_kib", "STRANGER_BODY_KIB", ge=1)
    parse_alone_kib: int = _setting("parse_alone_kib", "PARSE_ALONE_KIB", ge=1)
    body_wait_s: float = _setting("body_wait_s", "BODY_WAIT_S", ge=0)
    unread_answers_mib: int = _setting("unread_answers_mib", "UNREAD_ANSWERS_MIB", ge=1)
    frames_per_s: int = _setting("frames_per_s", "SOCKET_FRAMES_PER_S", ge=1)
    first_frames: int = _setting("first_frames", "SOCKET_FIRST_FRAMES_COUNT", ge=1)
    burst_frames: int = _setting("burst_frames", "SOCKET_BURST_FRAMES_COUNT", ge=1)
    unread_pongs: int = _setting("unread_pongs", "SOCKET_UNREAD_PONGS_COUNT", ge=1)
    flood_s: float = _setting("flood_s", "SOCKET_FLOOD_S", gt=0)
    subscriptions: int = _setting("subscriptions", "SOCKET_SUBSCRIPTIONS_COUNT", ge=1)
    bindings: int = _setting("bindings", "SOCKET_BINDINGS_COUNT", ge=1)
    conditions: int = _setting("conditions", "SOCKET_CONDITIONS_COUNT", ge=1)
    patterns: int = _setting("patterns", "SOCKET_PATTERNS_COUNT", ge=0)
    sockets: int = _setting("sockets", "SOCKETS_COUNT", ge=1)
    requests_per_s: int = _setting("requests_per_s", "REQUESTS_PER_S", ge=1)
    searches_at_once: int = _setting("searches_at_once", "SEARCHES_COUNT", ge=1)
    tickets_per_min: int = _setting("tickets_per_min", "TICKETS_PER_MIN", ge=1)
    tickets_for_others_per_min: int = _setting(
        "tickets_for_others_per_min", "TICKETS_FOR_OTHERS_PER_MIN", ge=1
    )
    upstream_at_once: int = _setting("upstream_at_once", "UPSTREAM_COUNT", ge=1)
    upstream_per_min: int = _setting("upstream_per_min", "UPSTREAM_PER_MIN", ge=1)
    unused_uploads: int = _setting("unused_uploads", "UNUSED_UPLOADS_COUNT", ge=1)
    unused_uploads_mib: int = _setting("unused_uploads_mib", "UNUSED_UPLOADS_MIB", ge=1)

    @property
    def limits(self) -> Limits:
        """The limits as one value."""
        return Limits(**{field.name: getattr(self, field.name) for field in fields(Limits)})


class Settings(LimitSettings):
    """The settings of one gateway, checked; every field names its variable."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, allow_inf_nan=False)

    database_url: str | None = Field(None, validation_alias="DATABASE_URL", repr=False)
    """Postgres of the shop. Without it: the embedded one, where that is allowed."""

    listen_url: str | None = Field(None, validation_alias="GATEWAY_LISTEN_URL", repr=False)
    """Direct host for LISTEN, leases and migrations, when DATABASE_URL is a pooled one."""

    host: str = Field("127.0.0.1", validation_alias="GATEWAY_HOST")
    port: int = Field(8000, ge=0, le=65535, validation_alias="GATEWAY_PORT")
    workers: int = Field(1, ge=1, le=64, validation_alias="GATEWAY_WORKERS")
    data_dir: Path | None = Field(None, validation_alias="GATEWAY_DATA_DIR")
    secret: str | None = Field(None, validation_alias="GATEWAY_SECRET", repr=False)
    """Signs JWTs and encrypts stored secrets. Made once and kept in the data folder when bound to loopback."""

    secret_previous: str | None = Field(None, validation_alias="GATEWAY_SECRET_PREVIOUS", repr=False)
    """The secret before this one, while secrets are rotated: still accepted for logins and for what is encrypted."""

    no_migrate: bool = Field(False, validation_alias="GATEWAY_NO_MIGRATE")
    """Refuse to start on an older schema instead of changing it."""

    backup_passphrase: str | None = Field(None, validation_alias="GATEWAY_BACKUP_PASSPHRASE", repr=False)
    """Opens backups, for `gateway backup` and `gateway restore` that no person is there for."""

    public_url: str | None = Field(None, validation_alias="GATEWAY_PUBLIC_URL")
    """Where WasenderAPI reaches us; given to it as webhook URL."""

    allowed_origins: tuple[str, ...] = Field((), validation_alias="GATEWAY_ALLOWED_ORIGINS")
    """Foreign pages that may use the API and the sockets; comma-separated. Apps have origins, too
    (capacitor://localhost, ionic://localhost). file:// lets in pages opened from a disk; browsers send `null` for them,
    as for sandboxed frames of any site, so name it for a machine of your own only."""

    trusted_proxies: tuple[str, ...] = Field((), validation_alias="GATEWAY_TRUSTED_PROXIES")
    """Addresses or networks of proxies whose X-Forwarded-For and -Proto count; comma-separated."""

    timezone: str = Field("UTC", validation_alias="GATEWAY_TIMEZONE")
    """Reads naive timestamps of the shop's tables, draws day lines."""

    probe_s: float = Field(5.0, ge=0, le=60, validation_alias="GATEWAY_PROBE_S")
    """Seconds between two probes of the listening connection. 0 lets a scale-to-zero database sleep: three minutes
    after the last socket, webhook or linking nothing asks it any more, until the next one; meanwhile as with 5."""

    link_poll_s: float = Field(2.0, gt=0, le=60, validation_alias="GATEWAY_LINK_POLL_S")
    link_idle_s: float = Field(75.0, gt=0, le=3600, validation_alias="GATEWAY_LINK_IDLE_S")
    link_max_s: float = Field(160.0, gt=0, le=3600, validation_alias="GATEWAY_LINK_MAX_S")
    """Seconds between polls of a linking session, until it ends without news, and in all."""

    supabase_jwt_secret: str | None = Field(None, validation_alias="GATEWAY_SUPABASE_JWT_SECRET", repr=False)
    """Of the shop's Supabase project (HS256): its tokens are taken at /realtime/v1/websocket, too."""

    jwks_url: str | None = Field(None, validation_alias="GATEWAY_JWKS_URL")
    jwt_issuer: str | None = Field(None, validation_alias="GATEWAY_JWT_ISSUER")
    jwt_audience: str | None = Field(None, validation_alias="GATEWAY_JWT_AUDIENCE")
    """Keys of the shop's own identity provider, by https; what its tokens must name as `iss` and `aud`, if anything."""

    send_keep_h: float = Field(24.0, gt=0, le=24 * 365, validation_alias="GATEWAY_SEND_KEEP_H")
    """Hours that a due message waits for its number to be connected, or for the end of a restriction."""

    send_from_sql: bool = Field(False, validation_alias="GATEWAY_SEND_FROM_SQL")
    """Send rows that the shop's own code inserts with `origin = 'sql'` from now on."""

    read_receipts: bool = Field(False, validation_alias="GATEWAY_READ_RECEIPTS")
    """Show customers that their messages were read here."""

    metrics_token: str | None = Field(None, validation_alias="GATEWAY_METRICS_TOKEN", repr=False)
    """Bearer token that may read /metrics from elsewhere than this machine."""

    wasender_base_url: str = Field("https://www.wasenderapi.com", validation_alias="WASENDER_BASE_URL")
    wasender_token: str | None = Field(None, validation_alias="WASENDER_TOKEN", repr=False)
    """Account token; without it, the one in the table `integrations`."""

    media_url: str | None = Field(None, validation_alias="GATEWAY_MEDIA_URL")
    """Where files of messages are kept: file:///folder or s3://bucket/prefix; without it, in the data folder."""

    media_hosts: tuple[str, ...] = Field(("*.whatsapp.net",), validation_alias="GATEWAY_MEDIA_HOSTS")
    """Hosts that files are fetched from, by https; `*.` stands for all names below."""

    target_networks: tuple[str, ...] = Field((), validation_alias="GATEWAY_TARGET_NETWORKS")
    """Private networks that webhooks out may reach."""

    message_days: float = Field(0.0, ge=0, le=36_500, validation_alias="GATEWAY_MESSAGE_DAYS")
    media_days: float = Field(0.0, ge=0, le=36_500, validation_alias="GATEWAY_MEDIA_DAYS")
    """How long files are kept; 0 for ever."""

    embedded: bool = Field(False, validation_alias="GATEWAY_EMBEDDED")
    """Run a private Postgres instead of using DATABASE_URL."""

    simulator: bool = Field(False, validation_alias="GATEWAY_SIMULATOR")
    """Talk to the built-in simulator instead of WasenderAPI."""

    max_connections: int = Field(20_000, ge=1, le=_MOST_OF_OTHERS, validation_alias="GATEWAY_MAX_CONNECTIONS")
    """WebSockets per process; more are turned away with 4529."""

    log_level: str = Field("info", validation_alias="GATEWAY_LOG_LEVEL")
    log_format: str = Field("text", validation_alias="GATEWAY_LOG_FORMAT")

    @field_validator("port", mode="before")
    @classmethod
    def _not_kubernetes(cls, value: Any) -> Any:
        # GATEWAY_PORT=tcp://10.0.0.1:80 is Kubernetes speaking of its service, not an operator of our port.
        return 8000 if isinstance(value, str) and value.startswith("tcp://") else value

    @field_validator("database_url", "listen_url")
    @classmethod
    def _postgres_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        scheme, _, rest = value.strip().partition("://")
        user, at, after = re.split(r"[/?]", rest, maxsplit=1)[0].partition("@")
        hosts = after if at else user
        if scheme not in ("postgresql", "postgres") or not all(map(_is_host, hosts.split(","))):
            # Nothing of the value is shown: it holds a password.
            raise ValueError(
                "must look like postgresql://user:password@host:5432/name, with @, / and ? in a password "
                "written as %40, %2F and %3F"
            )
        return value.strip()

    @field_validator("allowed_origins", "trusted_proxies", "media_hosts", "target_networks", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return (
            tuple(item.strip() for item in value.split(",") if item.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # Browsers send an origin in lower case, without a path; anything else would never match.
        origins = tuple(origin for item in value if (origin := parse_origin(item)) is not None)
        if len(origins) != len(value):
            raise ValueError(
                "must be origins like https://shop.example or capacitor://localhost, separated by commas, without a "
                "path; file:// stands for pages opened from a disk"
            )
        return origins

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            TrustedProxies(value)
        except ValueError:
            raise ValueError(
                "must be addresses or networks like 10.0.0.1 or 10.0.0.0/8, separated by commas"
            ) from None
        return value

    @field_validator("target_networks")
    @classmethod
    def _private_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(str(network_of(item)) for item in value)
        except ValueError:
            raise ValueError(
                "must be networks or addresses like 10.0.0.0/8 or 192.168.1.7, separated by commas"
            ) from None

    @field_validator("media_hosts")
    @classmethod
    def _host_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(
            re.fullmatch(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*", name.lower()) for name in value
        ):
            raise ValueError(
                "must be names of hosts like *.whatsapp.net, separated by commas, without https://"
            )
        return tuple(name.lower() for name in value)

    @field_validator("media_url")
    @classmethod
    def _store_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value.strip())
        is_folder = parts.scheme == "file" and parts.netloc in ("", "localhost") and len(parts.path) > 1
        if not is_folder and not (parts.scheme == "s3" and parts.netloc and "@" not in parts.netloc):
            raise ValueError("must be an address like file:///var/media or s3://bucket/prefix")
        return value.strip()

    @field_validator("public_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # `https://[`, a port that is none
            is_address = False
        # What WasenderAPI and browsers are told: no login, and a name as they send it.
        if not is_address or not re.fullmatch(r"[!-~]+", value) or re.search(r"[@?#\\]", value):
            raise ValueError("must be an address like https://gateway.example.com")
        return value.rstrip("/")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("must be a name like UTC or Asia/Karachi") from None
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.lower() not in ("debug", "info", "warning", "error"):
            raise ValueError("must be debug, info, warning or error")
        return value.lower()

    @field_validator("log_format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value.lower() not in ("text", "json"):
            raise ValueError("must be text or json")
        return value.lower()

    @field_validator("data_dir")
    @classmethod
    def _home(cls, value: Path | None) -> Path | None:
        try:
            return value and value.expanduser()
        except RuntimeError:
            raise ValueError("names a home folder that is not known: write the whole path") from None

    # The last of all, so that it is the first to look.
    @field_validator("*", mode="before")
    @classmethod
    def _one_line(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return value
        # A passphrase is what a person types elsewhere, spaces included.
        text = value if info.field_name == "backup_passphrase" else value.strip()
        if not all(character.isprintable() or character in " \u00a0" for character in text):
            raise ValueError("must be one line of text, without bytes or signs that cannot be seen")
        return text

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the gateway."""
        return is_loopback(self.host)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the setting `timezone`."""
        return ZoneInfo(self.timezone)


def is_loopback(host: str) -> bool:
    """Whether a host to listen on is this machine's loopback."""
    return host in ("localhost", "::1") or host.startswith("127.")


def _is_host(text: str) -> bool:
    """Whether it is a host of a Postgres address, maybe with a port, maybe left to the query."""
    return re.fullmatch(r"(\[[0-9A-Fa-f:.%\w]+\]|[^\[\]:@]*)(:\d*)?", text) is not None


def read_settings(**flags: Any) -> Settings:
    """The settings in force; flags that are None were not given. Raises ConfigError with one sentence."""
    file = _env_file()
    _refuse_unknown([*os.environ, *file])
    given = {_ALIASES[name]: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings.model_validate({**_said(file), **_said(os.environ), **given})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "setting"
        raise ConfigError(f"{_ALIASES.get(name, name)} {_sentence(first)}.") from None
    if settings.embedded:
        # A private database has no other address, and the one in the environment may be the shop's.
        settings = settings.model_copy(update={"database_url": None, "listen_url": None})
    return settings


_ALIASES = {name: str(field.validation_alias) for name, field in Settings.model_fields.items()}


def _said(values: Mapping[str, str]) -> dict[str, str]:
    """Those of our variables that hold something: by exactly their names, for HOST and PORT are other programs'."""
    return {name: values[name] for name in _ALIASES.values() if values.get(name, "").strip()}


_OURS = r"(export\s+)?(GATEWAY_|WASENDER_|DATABASE_URL)"


def _env_file() -> dict[str, str]:
    """The variables of the file. Raises ConfigError where a line with one of ours says nothing that can be read."""
    try:
        # Windows' editors begin a file with a mark.
        text = Path(ENV_FILE).read_text("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The file {ENV_FILE} cannot be read ({error}).") from None
    seen: dict[str, int] = {}
    for line in parse_stream(io.StringIO(text)):
        written, number = line.original.string, line.original.line
        number += written[: len(written) - len(written.lstrip())].count("\n")
        written = written.strip()
        if re.search(rf"\n\s*{_OURS}", written) or (line.error and re.match(_OURS, written)):
            raise ConfigError(
                f"The file {ENV_FILE} cannot be read from line {number} on: a quote is not closed there, or there is "
                "no NAME=value."
            )
        if line.key is None or not re.match(_OURS, line.key):
            continue
        if line.value is None:
            raise ConfigError(
                f"{line.key} has no value in line {number} of {ENV_FILE}: write {line.key}=… there."
            )
        if line.key in seen:
            raise ConfigError(
                f"{line.key} stands twice in {ENV_FILE}, in lines {seen[line.key]} and {number}: leave one."
            )
        seen[line.key] = number
    found = dotenv_values(stream=io.StringIO(text))
    return {name: value for name, value in found.items() if value is not None}


def _refuse_unknown(names: Iterable[str]) -> None:
    known = set(_ALIASES.values())
    for name in names:
        is_ours = name.upper().startswith("GATEWAY_") or name.upper() in known
        if is_ours and name not in known and not _KUBERNETES.fullmatch(name):
            raise ConfigError(
                f"There is no setting {name}. {_closest(name, known)}Remove it, or correct its name."
            )


def _closest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name.upper(), sorted(known), n=1)
    return f"Did you mean {close[0]}? " if close else ""


_KINDS = {
    "int": "must be a whole number",
    "float": "must be a number",
    "finite": "must be a number",
    "bool": "must be 1 or 0",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
}


def _sentence(error: Any) -> str:
    kind = error["type"]
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"must be {words} {error['ctx'][bound]:.15g}"
    if kind.partition("_")[0] in _KINDS:
        return _KINDS[kind.partition("_")[0]]
    text: str = error["msg"].removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    return text[0].lower() + text[1:]
