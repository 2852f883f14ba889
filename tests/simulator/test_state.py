"""What is still there after the simulator was stopped, killed, or given a broken file."""

import os
import stat
from pathlib import Path

import pytest

from gateway.domain.errors import ConfigError
from gateway.simulator import Simulator, SimulatorSettings
from tests.simulator.support import receiving, serving


async def test_sessions_keys_chats_and_the_link_survive_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "simulator.json"
    async with receiving() as receiver, serving(state) as served:
        before = await served.create(receiver)
        await served.link(1)
        await served.control(
            "POST", "/sessions/1/inbound", {"from": "+491701234567", "text": "x", "push_name": "Ann"}
        )
    async with serving(state) as served:
        after = (await served.account("GET", "/whatsapp-sessions/1")).data
        key = after["api_key"]
        status = await served.call("GET", "/api/status", token=key)
        contacts = (await served.call("GET", "/api/contacts", token=key)).data
        following = await served.create()

    assert {name: after[name] for name in ("api_key", "webhook_secret", "webhook_events", "created_at")} == {
        name: before[name] for name in ("api_key", "webhook_secret", "webhook_events", "created_at")
    }
    assert status.json == {"status": "connected"}
    assert [contact["name"] for contact in contacts] == ["Ann"]
    assert following["id"] == 2


async def test_an_unfinished_attempt_is_over_after_a_restart_and_the_webhook_says_so(tmp_path: Path) -> None:
    state = tmp_path / "simulator.json"
    async with receiving() as receiver:
        async with serving(state) as served:
            await served.create(receiver)
            await served.account("POST", "/whatsapp-sessions/1/connect")
            await receiver.wait_for_count(3)
        async with serving(state) as served:
            await receiver.wait_for_count(4)
            again = await served.account("POST", "/whatsapp-sessions/1/connect")

    assert receiver.got[3].body["data"] == {"status": "disconnected"}
    assert again.data["status"] == "NEED_SCAN"


async def test_a_created_session_is_on_disk_before_its_answer(tmp_path: Path) -> None:
    state = tmp_path / "simulator.json"
    async with serving(state) as served:
        key = (await served.create())["api_key"]

        assert key in state.read_text()
        assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["simulator.json"]


async def test_a_message_under_way_goes_on_after_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "simulator.json"
    slow = SimulatorSettings(
        account_token="t", connect_delay_s=0.01, finishing_delay_s=0.01, sent_delay_s=600
    )
    quick = SimulatorSettings(account_token="t", sent_delay_s=0.01, delivered_delay_s=0.01, read_delay_s=0.01)
    async with receiving() as receiver:
        async with serving(state, slow) as served:
            key = (await served.create(receiver))["api_key"]
            await served.link(1)
            await served.call("POST", "/api/send-message", {"to": "+491701234567", "text": "x"}, token=key)
        async with serving(state, quick):
            (sent,) = await receiver.wait_for_events("message.sent")

    assert sent.body["data"]["success"] is True


def test_the_account_token_is_made_once_and_kept(tmp_path: Path) -> None:
    state = tmp_path / "simulator.json"
    first = Simulator(state)
    first.engine.save()

    assert first.account_token
    assert Simulator(state).account_token == first.account_token
    assert Simulator(None).account_token != first.account_token


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"sessions": 5}', '{"account_token": "t", "sessions": {"x": 1}}']
)
def test_a_broken_state_file_is_one_sentence_and_stays_as_it_is(tmp_path: Path, content: str) -> None:
    state = tmp_path / "simulator.json"
    state.write_text(content)

    with pytest.raises(ConfigError, match="move the file away"):
        Simulator(state)
    assert state.read_text() == content
