"""Every call about the whole account under every fault of WasenderAPI."""

from typing import Any

import pytest

from tests.http.faults import FAULTS, PHONE, Fault, check, switch_on
from tests.http.support import SESSIONS, Shop

CALLS = [
    ("POST", "", {"name": "x", "phone_number": PHONE}),
    ("POST", "/sync", None),
    ("GET", "?refresh=1", None),
]

# A path of the account that is not found says nothing about a session: the address is wrong.
WRONG_ADDRESS = (502, "upstream_error", "retry")


@pytest.mark.parametrize(("method", "tail", "body"), CALLS, ids=[f"{m} {t}" for m, t, _ in CALLS])
async def test_a_call_under_every_fault_changes_nothing_here(
    hasty_shop: Shop, method: str, tail: str, body: Any
) -> None:
    shop = hasty_shop
    number = await shop.create(name="before")
    for fault in FAULTS:
        await shop.gateway.data("DELETE", "/_simulator/faults", token="")
        await switch_on(shop, "/whatsapp-sessions", fault, "POST" if tail == "" else "GET")

        status, reply = await shop.gateway.call(method, SESSIONS + tail, body)
        told = WRONG_ADDRESS if fault.name == "404" else fault.told
        check(Fault(fault.name, fault.switch, told), status, reply)
    row = await shop.one("SELECT wasender_session_id, name, status FROM whatsapp_sessions")
    assert row == {"wasender_session_id": number, "name": "before", "status": "disconnected"}
