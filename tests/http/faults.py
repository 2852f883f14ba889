"""What WasenderAPI can do to us, and what our callers are told then."""

from dataclasses import dataclass
from typing import Any

from tests.http.support import Shop

PHONE = "+15550001111"


@dataclass(frozen=True, slots=True)
class Fault:
    """A switch of the simulator; status, code and action of our answer."""

    name: str
    switch: dict[str, Any]
    told: tuple[int, str, str]


FIELDS = {"message": "The given data was invalid.", "errors": {"name": ["The name is taken."]}}
FAULTS = [
    Fault("401", {"status": 401}, (502, "upstream_unauthorized", "check_token")),
    Fault("403", {"status": 403}, (403, "upstream_limit", "show_limit")),
    Fault("404", {"status": 404}, (404, "session_not_found", "refresh_sessions")),
    Fault("422", {"status": 422, "body": FIELDS}, (422, "invalid", "fix_input")),
    Fault("500", {"status": 500}, (502, "upstream_error", "retry")),
    Fault("HTML", {"html": True}, (502, "upstream_error", "retry")),
    Fault("time-out", {"hang": True}, (504, "upstream_timeout", "retry")),
    Fault("reset", {"drop": "before"}, (504, "upstream_timeout", "retry")),
    # The last ones: upstream is left alone for a while afterwards.
    Fault("429", {"status": 429, "retry_after": 7}, (429, "rate_limited", "retry")),
    Fault("429 in HTML", {"status": 429, "html": True}, (429, "rate_limited", "retry")),
]


async def switch_on(shop: Shop, path: str, fault: Fault, method: str | None = None) -> None:
    switch = {"path": path, "times": None, **fault.switch}
    if method:
        switch["method"] = method
    await shop.gateway.data("POST", "/_simulator/faults", switch, token="")


def check(fault: Fault, status: int, reply: dict[str, Any]) -> None:
    """The answer is what contract and fault ask for."""
    assert (status, reply.get("code"), reply.get("action")) == fault.told, (fault.name, status, reply)
    assert reply["success"] is False
    assert len(reply["error"]) > 10
    assert "\n" not in reply["error"]
    if status == 429:
        assert reply["retry_after_s"] >= (7 if fault.name == "429" else 1), reply
    if fault.name == "422":
        assert reply["details"] == {"errors": {"name": ["The name is taken."]}}
