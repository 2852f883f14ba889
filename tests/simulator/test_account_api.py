"""The management calls: envelopes, casing, codes, and paths that must not exist."""

import re

import pytest

from gateway.simulator import SimulatorSettings
from tests.simulator.support import QUICK, MovedClock, Served, serving


async def test_a_created_session_has_its_secrets_and_the_list_has_none(served: Served) -> None:
    session = await served.create()
    listed = (await served.account("GET", "/whatsapp-sessions")).data

    assert session["id"] == 1
    assert session["status"] == "disconnected"
    assert re.fullmatch(r"[0-9a-f]{64}", session["api_key"])
    assert re.fullmatch(r"[0-9a-f]{32}", session["webhook_secret"])
    assert [row["id"] for row in listed] == [1]
    assert not {"api_key", "webhook_secret"} & listed[0].keys()


async def test_missing_fields_are_named_as_the_framework_names_them(served: Served) -> None:
    reply = await served.account("POST", "/whatsapp-sessions", {"name": "Shop", "log_messages": "perhaps"})

    assert reply.status == 422
    assert reply.json["message"] == "Validation failed"
    assert reply.json["errors"] == {
        "phone_number": ["The phone number field is required."],
        "account_protection": ["The account protection field is required."],
        "log_messages": ["The log messages field must be true or false."],
    }


async def test_an_update_changes_only_what_it_names(served: Served) -> None:
    await served.create()
    reply = await served.account("PUT", "/whatsapp-sessions/1", {"webhook_enabled": True, "unknown": 1})

    assert reply.status == 200
    assert reply.data["webhook_enabled"] is True
    assert reply.data["name"] == "Shop"


async def test_delete_answers_204_without_a_body_and_then_404(served: Served) -> None:
    await served.create()
    deleted = await served.account("DELETE", "/whatsapp-sessions/1")
    again = await served.account("DELETE", "/whatsapp-sessions/1")

    assert (deleted.status, deleted.text) == (204, "")
    assert again.status == 404
    assert again.json == {"success": False, "error": "The specified session was not found."}


async def test_a_deleted_number_is_not_given_out_again(served: Served) -> None:
    await served.create()
    await served.account("DELETE", "/whatsapp-sessions/1")

    assert (await served.create())["id"] == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/whatsapp-sessions/1/qr-code"),
        ("GET", "/whatsapp-sessions/1/status"),
        ("GET", "/sessions/1/status"),
        ("POST", "/whatsapp-sessions/1/regenerate-api-key"),
        ("POST", "/send-text"),
        ("GET", "/whatsapp-sessions/1/"),
        ("GET", "/"),
    ],
)
async def test_paths_that_upstream_does_not_have_are_404(served: Served, method: str, path: str) -> None:
    await served.create()
    reply = await served.account(method, path)

    assert reply.status == 404
    assert "could not be found" in reply.json["message"]


async def test_the_wrong_kind_of_token_is_refused_in_the_words_of_each_kind_of_call(served: Served) -> None:
    session = await served.create()
    by_key = await served.call("GET", "/api/whatsapp-sessions", token=session["api_key"])
    by_account = await served.account("GET", "/status")
    by_nobody = await served.call("GET", "/api/status")

    assert (by_key.status, by_key.json["message"]) == (401, "Unauthenticated.")
    assert (by_account.status, by_account.json["message"]) == (401, "Invalid API key")
    assert (by_nobody.status, by_nobody.json["message"]) == (401, "API key is required")


async def test_auth_check_tells_a_good_account_token_from_a_bad_one(served: Served) -> None:
    assert (await served.account("GET", "/auth-check")).status == 200
    assert (await served.call("GET", "/api/auth-check", token="2|other")).status == 401


async def test_connect_answers_upper_case_with_a_raw_code_that_qrcode_repeats(served: Served) -> None:
    await served.create()
    connected = await served.account("POST", "/whatsapp-sessions/1/connect", {})
    code = await served.account("GET", "/whatsapp-sessions/1/qrcode")

    assert connected.data["status"] == "NEED_SCAN"
    assert connected.data["qrCode"].startswith("2@")
    assert len(connected.data["qrCode"].split(",")) == 4
    assert code.data == {"qrCode": connected.data["qrCode"]}
    assert (await served.account("GET", "/whatsapp-sessions/1")).data["status"] == "need_scan"


async def test_a_code_before_connect_is_refused_in_the_management_envelope(served: Served) -> None:
    await served.create()
    reply = await served.account("GET", "/whatsapp-sessions/1/qrcode")

    assert reply.status == 400
    assert reply.json["success"] is False
    assert "error" in reply.json


async def test_restart_is_only_for_connected_sessions(served: Served) -> None:
    await served.create()
    refused = await served.account("POST", "/whatsapp-sessions/1/restart")
    await served.link(1)
    done = await served.account("POST", "/whatsapp-sessions/1/restart")

    assert refused.status == 400
    assert refused.json["error"] == "WhatsApp session is not connected. Cannot restart."
    assert done.json == {"success": True, "message": "WhatsApp session restarted successfully."}
    await served.wait_for_status(1, "connected")


async def test_after_disconnect_the_link_holds_and_connect_needs_no_scan(served: Served) -> None:
    await served.create()
    await served.link(1)
    gone = await served.account("POST", "/whatsapp-sessions/1/disconnect")
    back = await served.account("POST", "/whatsapp-sessions/1/connect")

    assert gone.data["status"] == "disconnected"
    assert back.data["status"] == "CONNECTED"
    assert "qrCode" not in back.data
    await served.wait_for_status(1, "connected")


@pytest.mark.parametrize(("how", "status"), [("unlink", "logged_out"), ("expire", "expired")])
async def test_after_the_link_is_gone_connect_gives_a_new_code(served: Served, how: str, status: str) -> None:
    await served.create()
    await served.link(1)
    ended = await served.control("POST", f"/sessions/1/{how}")
    again = await served.account("POST", "/whatsapp-sessions/1/connect")

    assert ended.data["status"] == status
    assert again.data["status"] == "NEED_SCAN"
    assert again.data["qrCode"]


async def test_regenerate_key_answers_at_the_top_level_and_ends_the_old_key(served: Served) -> None:
    old = (await served.create())["api_key"]
    reply = await served.account("POST", "/whatsapp-sessions/1/regenerate-key")
    new = reply.json["api_key"]

    assert "data" not in reply.json
    assert (await served.call("GET", "/api/status", token=old)).status == 401
    assert (await served.call("GET", "/api/status", token=new)).json == {"status": "disconnected"}


async def test_the_session_limit_is_a_403_with_its_sentence_under_error() -> None:
    async with serving(settings=SimulatorSettings(account_token="t", session_limit=1)) as served:
        await served.create()
        fields = {
            "name": "B",
            "phone_number": "+4930123456",
            "account_protection": True,
            "log_messages": False,
        }
        reply = await served.account("POST", "/whatsapp-sessions", fields)

    assert reply.status == 403
    assert reply.json["error"].startswith("You have reached your WhatsApp session limit.")


async def test_session_logs_are_paged_newest_first(served: Served) -> None:
    await served.create()
    await served.link(1)
    page = (await served.account("GET", "/whatsapp-sessions/1/session-logs?per_page=2")).data

    assert page["current_page"] == 1
    assert page["per_page"] == 2
    assert page["total"] == page["last_page"] * 2 - page["total"] % 2
    assert page["data"][0]["status"] == "connected"
    assert page["data"][0]["event_type"] == "status_change"
    assert page["next_page_url"].endswith("?page=2")


async def test_a_passkey_attempt_is_confirmed_by_its_own_endpoints(served: Served) -> None:
    await served.create()
    reply = await served.account("POST", "/whatsapp-sessions/1/connect", {"linkMethod": "passkey"})
    token = reply.data["passkey"]["token"]
    pending = await served.call("GET", f"/api/passkey/pending?token={token}")
    asked = {"token": token, "requestId": pending.json["requestId"]}

    assert reply.data["status"] == "NEED_PASSKEY"
    assert (await served.account("GET", "/whatsapp-sessions/1/passkey-token")).data["token"] == token
    assert (await served.call("POST", "/api/passkey/confirm", asked)).status == 200
    await served.wait_for_status(1, "connected")


async def test_codes_change_at_45_then_every_20_seconds_and_end_after_six() -> None:
    clock = MovedClock()
    settings = SimulatorSettings(account_token="t", connect_delay_s=0)
    async with serving(settings=settings, clock=clock) as served:
        await served.create()
        # The reply waits for the code, and the code for the clock.
        await served.control("POST", "/faults", {"mode": "slow_qr"})
        await served.account("POST", "/whatsapp-sessions/1/connect")
        clock.move(0)

        codes = []
        for life_s in (45, 20, 20, 20, 20, 20):
            codes.append((await served.account("GET", "/whatsapp-sessions/1/qrcode")).data["qrCode"])
            clock.move(life_s - 1)
            still = (await served.account("GET", "/whatsapp-sessions/1/qrcode")).data["qrCode"]
            assert still == codes[-1]
            clock.move(1)
        ended = await served.account("GET", "/whatsapp-sessions/1")

    assert len(set(codes)) == 6
    assert ended.data["status"] == "disconnected"


async def test_a_second_connect_while_a_code_is_shown_repeats_that_code(served: Served) -> None:
    await served.create()
    first = await served.account("POST", "/whatsapp-sessions/1/connect")
    second = await served.account("POST", "/whatsapp-sessions/1/connect")

    assert second.data == first.data


async def test_every_reply_has_rate_limit_headers(served: Served) -> None:
    for reply in (await served.account("GET", "/whatsapp-sessions"), await served.account("GET", "/nowhere")):
        assert int(reply.headers["X-RateLimit-Limit"]) > 0
        assert int(reply.headers["X-RateLimit-Remaining"]) >= 0
        assert int(reply.headers["X-RateLimit-Reset"]) > 1_000_000_000


def test_quick_settings_do_not_print_the_token() -> None:
    assert "1|account" not in repr(QUICK)
