"""The WebSocket protocol as an AsyncAPI 3.0 document, generated from the shapes in frames.py.

Built once at start. It holds no data of this installation, so it is open to everybody.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from gateway import __version__
from gateway.realtime.native import frames
from gateway.realtime.native.frame_examples import EXAMPLES

SCHEMAS = "#/components/schemas/"
MESSAGES = "#/components/messages/"

ABOUT = """Events of WhatsApp sessions and inboxes, pushed.

**Streams** are `inbox:<id>` and `inbox:*`: each committed change is an event with an offset, and the offsets of an \
inbox have no gaps. Subscribe with `after`, where you stand (`position` of `GET /api/conversations`, or the last \
event). Everything since comes first; `subscribed` follows once all of it has been sent. Drop what you have seen; \
subscribe again when something is missing, or a heartbeat is ahead of you; after `reset` load by REST.

**States** are `sessions` and `session:<id>`: only the newest value matters, and it has a `version`.

Ignore types, events and fields that you do not know: more may come at any time. No frame is over 256 KiB.

**Close codes.** After 1001, 1011, 1012, 1013, 4008 (you read nothing for a minute) and 4009 (you said nothing for \
90 s) come back and resume. Do not come back after 4500 (bad frame), 4501 (not logged in, or expired: log in first), \
4503 (not allowed) and 4529 (too many connections).

REST is described in `/openapi.json`."""

ABOUT_SUPABASE = """Supabase Realtime's own protocol (Phoenix frames, `vsn` 1.0.0 and 2.0.0), for \
`supabase.channel(…)` of an unmodified client: `postgres_changes` of messages and sessions. It has no offsets. \
Supabase documents its frames."""

_REPLIES = {
    "SubscribeFrame": ("SubscribedFrame", "SubscribedAllFrame", "SubscribedStateFrame", "ErrorFrame"),
    "UnsubscribeFrame": ("UnsubscribedFrame", "ErrorFrame"),
    "PingFrame": ("PongFrame",),
    "AuthFrame": ("AuthenticatedFrame", "ErrorFrame"),
    "SayPresenceFrame": ("ErrorFrame",),
}
"""What the server answers, with the same `ref`."""


def document(rest: Mapping[str, dict[str, Any]], cookie: str) -> dict[str, Any]:
    """The whole document, as JSON values.

    `rest` are the schemas of REST, which say what stands inside `data`; `cookie` is the name of the page's login.
    """
    shapes = _shapes()
    security = _security(cookie)
    return {
        "asyncapi": "3.0.0",
        "id": "urn:whatsapp-realtime-gateway",
        "info": {
            "title": "WhatsApp realtime gateway",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {
                "host": "{host}",
                "protocol": "wss",
                "description": "Where this document came from.",
                "variables": {"host": {"default": "gateway.example.com"}},
                "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in security],
            }
        },
        "channels": _channels(map(_name, shapes)),
        "operations": {**dict(_requests()), "push": _push()},
        "components": {
            "messages": {**dict(_messages(shapes)), "phoenix": _PHOENIX},
            "schemas": _schemas(rest),
            "securitySchemes": security,
        },
    }


def _channels(names: Iterable[str]) -> dict[str, Any]:
    return {
        "gateway": {
            "address": "/ws",
            "title": "Our own protocol",
            "description": "One JSON object per text frame.",
            "messages": {name: {"$ref": MESSAGES + name} for name in names},
            "bindings": {"ws": {"method": "GET", "query": _QUERY, "bindingVersion": "0.1.0"}},
        },
        "supabase": {
            "address": "/realtime/v1/websocket",
            "title": "Supabase Realtime",
            "description": ABOUT_SUPABASE,
            "messages": {"phoenix": {"$ref": MESSAGES + "phoenix"}},
        },
    }


# ------------------------------------------------------------------------------------------------ who and where

_TICKET = "From POST /api/tickets; once, within 30 s."

_QUERY: dict[str, Any] = {
    "type": "object",
    "properties": {"ticket": {"type": "string", "description": _TICKET}},
}


def _security(cookie: str) -> dict[str, Any]:
    first_frame = "Nothing of these: the first frame is `auth`, within 5 s."
    return {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "ticket": {"type": "httpApiKey", "in": "query", "name": "ticket", "description": _TICKET},
        "cookie": {
            "type": "httpApiKey",
            "in": "cookie",
            "name": cookie,
            "description": "The page's own login.",
        },
        "firstFrame": {"type": "userPassword", "description": first_frame},
    }


_PHOENIX: dict[str, Any] = {
    "title": "Phoenix frame",
    "summary": "An object in vsn 1.0.0, an array of five in 2.0.0.",
    "payload": {"anyOf": [{"type": "object"}, {"type": "array", "minItems": 5, "maxItems": 5}]},
}


# ------------------------------------------------------------------------------------------------ messages


def _name(shape: str) -> str:
    """`SubscribedAllFrame` → `subscribedAll`."""
    stem = shape.removesuffix("Frame")
    return stem[0].lower() + stem[1:]


def _shapes() -> list[str]:
    return [shape.__name__ for shape in (*frames.CLIENT_FRAMES, *frames.SERVER_FRAMES)]


def _messages(shapes: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for shape in shapes:
        example = EXAMPLES[shape]
        yield (
            _name(shape),
            {
                "name": example.get("event", example["type"]),
                "title": re.sub(r"(?<=[a-z])(?=[A-Z])", " ", shape.removesuffix("Frame")),
                "payload": {"$ref": SCHEMAS + shape},
                "examples": [{"payload": example}],
            },
        )


def _in_channel(shape: str) -> dict[str, Any]:
    return {"$ref": f"#/channels/gateway/messages/{_name(shape)}"}


def _requests() -> Iterator[tuple[str, dict[str, Any]]]:
    for shape, replies in _REPLIES.items():
        yield (
            _name(shape),
            {
                "action": "receive",
                "channel": {"$ref": "#/channels/gateway"},
                "messages": [_in_channel(shape)],
                "reply": {
                    "channel": {"$ref": "#/channels/gateway"},
                    "messages": [_in_channel(reply) for reply in replies],
                },
            },
        )


def _push() -> dict[str, Any]:
    """Everything the server says by itself."""
    answers = {answer for replies in _REPLIES.values() for answer in replies} - {
        "UnsubscribedFrame",
        "ErrorFrame",
    }
    pushed = [shape.__name__ for shape in frames.SERVER_FRAMES if shape.__name__ not in answers]
    return {
        "action": "send",
        "channel": {"$ref": "#/channels/gateway"},
        "messages": [_in_channel(shape) for shape in pushed],
    }


# ------------------------------------------------------------------------------------------------ schemas


class _Untitled(GenerateJsonSchema):
    """Without a title for every field, which only repeats its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _schemas(rest: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The frames, and those schemas of REST that they name."""
    shapes = (*frames.CLIENT_FRAMES, *frames.SERVER_FRAMES)
    _, made = TypeAdapter.json_schemas(
        [(shape.__name__, "serialization", TypeAdapter(shape)) for shape in shapes],
        schema_generator=_Untitled,
        ref_template=SCHEMAS + "{model}",
    )
    found: dict[str, Any] = {}
    waiting = {name: _resolved(schema) for name, schema in made["$defs"].items()}
    while waiting:
        name, schema = waiting.popitem()
        found[name] = schema
        for wanted in _references(schema):
            if wanted not in found and wanted not in waiting:
                waiting[wanted] = rest[wanted]
    return {name: found[name] for name in sorted(found)}


def _resolved(value: Any) -> Any:
    """With references in place of the marks of frames.py."""
    if isinstance(value, dict):
        if frames.SAME_AS in value:
            return {"$ref": SCHEMAS + value[frames.SAME_AS]}
        return {key: _resolved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item) for item in value]
    return value


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].removeprefix(SCHEMAS)
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
