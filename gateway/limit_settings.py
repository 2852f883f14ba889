"""The limits as settings. What each is for, and what happens beyond it, stands in docs/limits.md."""

from dataclasses import fields
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings

from gateway.domain.limits import Limits

_DEFAULTS = Limits()


def _setting(field: str, name: str, **bounds: Any) -> Any:
    return Field(default=getattr(_DEFAULTS, field), validation_alias=f"GATEWAY_{name}", **bounds)


class LimitSettings(BaseSettings):
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

    @property
    def limits(self) -> Limits:
        return Limits(**{field.name: getattr(self, field.name) for field in fields(Limits)})
