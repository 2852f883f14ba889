"""Every frame that the gateway sends in a test is held against /asyncapi.json: what is described is what comes."""

from functools import cache
from typing import Any

import jsonschema_rs

from gateway.http.api import openapi
from gateway.realtime.native import asyncapi

Json = dict[str, Any]


def check_frame(frame: Json) -> None:
    """Fails if the description has no such frame, or a different one."""
    validator, fields = _shape(_shape_of(frame))
    complaints = [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(frame)]
    complaints += [f"{name} is not described" for name in frame if name not in fields]
    assert not complaints, f"{frame} is not what /asyncapi.json describes: {complaints}"


def _shape_of(frame: Json) -> str:
    """The name of the schema that this frame claims to have."""
    match frame:
        case {"type": "subscribed", "state": _}:
            return "SubscribedStateFrame"
        case {"type": "subscribed", "tops": _}:
            return "SubscribedAllFrame"
        case {"type": "event", "event": "conversation.updated"}:
            return "MarkEventFrame"
        case {"type": "state", "event": "session.qr"}:
            return "CodeStateFrame"
        case {"type": "state", "event": "session.link_trouble"}:
            return "LinkTroubleFrame"
        case {"type": "state", "event": "session.link_ended"}:
            return "LinkEndedFrame"
        case {"type": "state", "event": "session.sending"}:
            return "SendingFrame"
        case {"type": "state", "event": "session.deleted"}:
            return "SessionDeletedFrame"
        case {"type": "state"}:
            return "SessionStateFrame"
    return f"{str(frame['type']).capitalize()}Frame"


@cache
def _document() -> Json:
    return asyncapi.document(openapi.schemas(), "cookie")


@cache
def _shape(name: str) -> tuple[Any, frozenset[str]]:
    schemas = _document()["components"]["schemas"]
    assert name in schemas, f"/asyncapi.json has no {name}"
    rooted = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    validator = jsonschema_rs.validator_for(rooted, validate_formats=True)
    return validator, frozenset(schemas[name]["properties"])
