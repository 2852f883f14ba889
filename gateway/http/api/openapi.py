"""The REST API as an OpenAPI 3.1 document, generated from the table in operations.py and the models it names.

Built once at start. It describes the API and holds no data of this installation, so it is open to every caller.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from gateway import __version__
from gateway.domain import errors
from gateway.domain.session import MAX_SESSION_ID
from gateway.http.api.inbox_schemas import ConversationMarks
from gateway.http.api.operation import Operation, Reply
from gateway.http.api.operations import OPERATIONS, TAGS
from gateway.http.api.schemas import Body, ErrorReply
from gateway.http.auth import COOKIE
from gateway.http.errors import STATUSES

Json = dict[str, Any]

REF = "#/components/schemas/"
ERROR_REF = "#/components/responses/"

MEANINGS = {
    "unauthenticated": "Nobody we know: log in, or send a valid token.",
    "forbidden": "This login may not do that.",
    "not_found": "There is nothing of that kind.",
    "conflict": "It cannot be done in this state.",
    "newer_reply": "Another person has answered behind `seen`; `details.messages` holds what was not seen.",
    "not_linking": "No attempt to link runs, so there is no code. Start with connect.",
    "too_large": "The body is over 1 MiB.",
    "invalid": "Something sent cannot be used; `details` says what.",
    "rate_limited": "Too fast. Come back after `retry_after_s`.",
    "internal": "A fault of the gateway itself. Its log has the details.",
    "unavailable": "Not now: the gateway is starting or stopping, or Postgres is away.",
    "upstream_unauthorized": "WasenderAPI does not accept the token.",
    "upstream_limit": "WasenderAPI's plan does not allow it.",
    "session_not_found": "WasenderAPI has no such session (any more).",
    "upgrade_required": "The address speaks WebSocket only, and the handshake's headers did not reach the gateway.",
    "upstream_error": "WasenderAPI failed.",
    "upstream_timeout": "WasenderAPI did not answer; whether it was done is unknown.",
}

ABOUT = """Realtime gateway between WasenderAPI, Postgres and browsers.

A success is `{"success": true, "data": …}`. A failure is `{"success": false, "error": …, "code": …}`: a sentence for \
people, a word for programs, what a page can offer (`action`), and when to come back (`retry_after_s`).

Send `Authorization: Bearer <token>`; `gateway token` prints one. The page's own login is a cookie. A viewer reads, \
an agent also links and marks as read, an admin may do everything. A token may be limited to some sessions.

Lists are cut into pages: pass `next_cursor` back as `cursor` \
(messages of a chat: `before` as `before`). Events come over the WebSocket `/ws`.

Fields may be added to replies at any time."""

_PATH_PARAMETERS: dict[str, Json] = {
    "id": {
        "description": "WasenderAPI's id of the session.",
        "schema": {"type": "integer", "minimum": 0, "maximum": MAX_SESSION_ID},
        "example": 12,
    },
    "entry": {
        "description": "Number of the journal's entry.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
        "example": 4711,
    },
    "target": {
        "description": "Number of the webhook target.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
        "example": 3,
    },
    "template": {
        "description": "Number of the template.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
        "example": 3,
    },
    "person": {
        "description": "Number of the person.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
        "example": 7,
    },
    "login": {
        "description": "Id of the login.",
        "schema": {"type": "string", "pattern": "^[^/]+$"},
        "example": "6f1c9b1e-9d0c-4a57-8f0e-0c9f0f3f6f11",
    },
    "media": {
        "description": "Id of the file, from its message.",
        "schema": {"type": "string", "pattern": "^[^/]+$"},
        "example": "6f1c9b1e-9d0c-4a57-8f0e-0c9f0f3f6f11",
    },
    "number": {
        "description": "`msgId` of the message.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
        "example": 7,
    },
    "row": {
        "description": "Id of an own message, or its ref, such as `out:7`.",
        "schema": {"type": "string", "pattern": "^(out:)?[^/:\\s]{1,64}$"},
        "example": "7",
    },
    "chat": {
        "description": "Digits of a phone number, or a JID.",
        "schema": {"type": "string", "pattern": "^[^/]*[0-9@][^/]*$"},
        "example": "15550002222",
    },
}


def document() -> Json:
    """The whole document, as JSON values."""
    components = schemas()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "WhatsApp realtime gateway",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": _paths(components),
        "components": {
            "schemas": components,
            "responses": _error_responses(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
    }


def _paths(components: Json) -> Json:
    paths: Json = {}
    for operation in OPERATIONS:
        for one in _with_aliases(operation):
            item = paths.setdefault(one.path, _path_item(one.path))
            item[one.method.lower()] = _operation(one, components)
            if one.path != operation.path:
                item[one.method.lower()]["x-alias-of"] = operation.path
    return paths


def _with_aliases(operation: Operation) -> Iterator[Operation]:
    yield operation
    for number, path in enumerate(operation.aliases, start=1):
        notes = f"The same as `{operation.path}`."
        yield replace(operation, path=path, id=f"{operation.id}_alias{number}", notes=notes)


def _path_item(path: str) -> Json:
    names = re.findall(r"{(\w+)}", path)
    parameters = [{"name": name, "in": "path", "required": True, **_PATH_PARAMETERS[name]} for name in names]
    return {"parameters": parameters} if parameters else {}


def _operation(operation: Operation, components: Json) -> Json:
    made: Json = {
        "tags": [operation.tag],
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.notes or f"{operation.summary}.",
        "security": [{"bearer": []}, {"cookie": []}] if operation.role else [],
        "responses": _responses(operation, components),
    }
    if operation.role:
        made["x-role"] = operation.role
    parameters = [*_parameters(operation.query, "query"), *_parameters(operation.headers, "header")]
    if parameters:
        made["parameters"] = parameters
    if operation.body:
        content = _content(operation.body, "application/json", components)
        made["requestBody"] = {"required": operation.is_body_needed, "content": content}
    if operation.takes_file:
        made["requestBody"] = {"required": True, "content": {"application/octet-stream": {"schema": {}}}}
    return made


def _parameters(model: type[BaseModel] | None, place: str) -> Iterator[Json]:
    if model is None:
        return
    schema = model.model_json_schema(schema_generator=_Untitled)
    for name, field in schema["properties"].items():
        about = field.pop("description", "")
        examples = field.pop("examples", None)
        yield {
            "name": name,
            "in": place,
            "required": name in schema.get("required", []),
            **({"description": about} if about else {}),
            "schema": field,
            **({"example": examples[0]} if examples else {}),
        }


# ------------------------------------------------------------------------------------------ replies


def _responses(operation: Operation, components: Json) -> Json:
    found: dict[int, Json] = {}
    for reply in operation.replies:
        entry = found.setdefault(reply.status, {"description": reply.text})
        if content := _reply_content(reply, components):
            entry.setdefault("content", {}).update(content)
    for status, codes in _codes_by_status(operation).items():
        if status in found:  # the operation has an answer of its own for it
            continue
        found[status] = {"$ref": ERROR_REF + _name_of(codes)}
    return {str(status): found[status] for status in sorted(found)}


def _reply_content(reply: Reply, components: Json) -> Json:
    if reply.model:
        return _content(reply.model, reply.media, components)
    return {} if reply.status == 303 else {reply.media: {"schema": {"type": "string"}}}


def _codes_by_status(operation: Operation) -> dict[int, list[str]]:
    always = ("unauthenticated", "forbidden", "internal") if operation.role else ("internal",)
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys((*always, *operation.errors)):
        by_status.setdefault(STATUSES[code], []).append(code)
    return by_status


def _error_responses() -> Json:
    """Every combination of codes that one status of an operation can stand for, by name."""
    combinations = [codes for one in OPERATIONS for codes in _codes_by_status(one).values()]
    return {_name_of(codes): _error(codes) for codes in sorted(combinations)}


def _name_of(codes: list[str]) -> str:
    return "-".join(codes)


def _error(codes: list[str]) -> Json:
    names = {code: _error_example(code) for code in codes}
    headers: Json = {}
    if any(names[code]["value"]["retry_after_s"] for code in codes):
        headers["Retry-After"] = {"description": "Seconds.", "schema": {"type": "integer"}}
    if "unauthenticated" in codes:
        headers["WWW-Authenticate"] = {"description": "Bearer.", "schema": {"type": "string"}}
    return {
        "description": " ".join(f"`{code}`: {MEANINGS[code]}" for code in codes),
        **({"headers": headers} if headers else {}),
        "content": {"application/json": {"schema": {"$ref": REF + ErrorReply.__name__}, "examples": names}},
    }


def _error_example(code: str) -> Json:
    waits = code in ("rate_limited", "unavailable")
    sentence = MEANINGS[code].replace("`", "")
    return {
        "summary": sentence,
        "value": {
            "success": False,
            "error": sentence,
            "message": sentence,
            "code": code,
            "action": _ACTIONS[code],
            "retry_after_s": 5 if waits else None,
            "details": None,
            "request_id": "3f9a1c-2a",
        },
    }


def _tree(kind: type[errors.GatewayError]) -> Iterator[type[errors.GatewayError]]:
    for child in kind.__subclasses__():
        yield from _tree(child)
    yield kind


# The parents come last and win: what a code means is fixed by the error that brought it in.
_ACTIONS = {kind.code: kind.action for kind in _tree(errors.GatewayError)}


# ------------------------------------------------------------------------------------------ schemas


class _Untitled(GenerateJsonSchema):
    """Without a title for every field, which only repeats its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schemas() -> Json:
    """All models, by name, with what they are made of."""
    models: dict[type[BaseModel], JsonSchemaMode] = {
        ErrorReply: "serialization",
        ConversationMarks: "serialization",  # of events only
    }
    for operation in OPERATIONS:
        for reply in operation.replies:
            if reply.model:
                models[reply.model] = "serialization"
        if operation.body:
            models[operation.body] = "validation" if issubclass(operation.body, Body) else "serialization"
    wanted = [(model.__name__, mode, TypeAdapter(model)) for model, mode in models.items()]
    _, schema = TypeAdapter.json_schemas(wanted, schema_generator=_Untitled, ref_template=REF + "{model}")
    defs: Json = schema["$defs"]
    return {name: defs[name] for name in sorted(defs)}


def _content(model: type[BaseModel], media: str, components: Json) -> Json:
    return {
        media: {
            "schema": {"$ref": REF + model.__name__},
            "example": example_of(components[model.__name__], components),
        }
    }


def example_of(schema: Json, components: Json) -> Any:
    """A value that fits, put together from the examples of the fields. Raises LookupError where there is none."""
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        return example_of(components[schema["$ref"].removeprefix(REF)], components)
    for kind in schema.get("anyOf", ()):
        return example_of(kind, components)
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "null":
            return None
        case "array":
            return [example_of(schema["items"], components)]
        case "object" if "properties" in schema:
            return {name: example_of(field, components) for name, field in schema["properties"].items()}
    raise LookupError(f"a field has no example: {schema}")
