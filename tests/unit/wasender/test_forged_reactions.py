"""A member who reuses the id of a message for its reaction does not react under the name of that message's author."""

from datetime import UTC, datetime
from typing import Any

from gateway.wasender.message_events import reaction

NOW = datetime(2026, 11, 30, tzinfo=UTC)
GROUP = "120363040000000000@g.us"
VICTIM, FORGER = "447700900111@s.whatsapp.net", "447700900999@s.whatsapp.net"


def key(participant: str) -> dict[str, Any]:
    return {"remoteJid": GROUP, "id": "X", "fromMe": False, "participant": participant}


def test_the_reactions_own_key_says_who_reacted_though_its_id_is_the_targets() -> None:
    (change,) = reaction({"key": key(VICTIM), "reaction": {"text": "x", "key": key(FORGER)}}, NOW, NOW)

    assert FORGER.partition("@")[0] in repr(change)
    assert VICTIM.partition("@")[0] not in repr(change)


def test_where_both_keys_are_the_same_only_the_target_is_named() -> None:
    (change,) = reaction({"key": key(VICTIM), "reaction": {"text": "x", "key": key(VICTIM)}}, NOW, NOW)

    assert VICTIM.partition("@")[0] in repr(change)
