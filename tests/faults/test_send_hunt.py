"""A short hunt of sends. More: `python -m tests.faults.send_hunt --seeds 1000`."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.send_hunt import hunt, restore
from tests.faults.send_oracle import Row, Taken, complaints
from tests.faults.server import Server

ROW = Row(0, "a", 1, "15550001", "hello", "sent", 10, "KEY", is_in_order=True)
SEND = Taken(10, "KEY", 1, "15550001", "hello", failed=False)


@pytest.mark.parametrize("seed", [1])
async def test_each_message_goes_out_once_and_its_row_says_so(
    seed: int, server: Server, tmp_path: Path
) -> None:
    report = await hunt(seed, server, tmp_path)

    assert not report.complaints, f"{report.whole()}\n{report.said}"
    assert report.happened["accepted by upstream"] > 10  # it was not all trouble


async def test_after_the_restore_of_an_older_backup_nothing_is_sent_again(
    server: Server, tmp_path: Path
) -> None:
    report = await restore(10, server, tmp_path)

    assert not report.complaints, f"{report.whole()}\n{report.said}"
    assert report.ends["queued"] == 0
    assert report.happened["accepted by upstream"] > 10


def test_the_oracle_is_content_with_what_is_right() -> None:
    later = replace(ROW, number=1, client_id="b", msg_id=11, key_id="OTHER")
    assert complaints([ROW, later], [SEND, replace(SEND, msg_id=11, key_id="OTHER")], ["a", "b"], {}) == []
    assert complaints([replace(ROW, status="unknown", msg_id=None, key_id=None)], [SEND], ["a"], {}) == []


@pytest.mark.parametrize(
    ("row", "sends", "word"),
    [
        (ROW, [SEND, replace(SEND, msg_id=11, key_id="OTHER")], "DOUBLE"),
        (replace(ROW, status="failed", msg_id=None, key_id=None), [SEND], "FAILED"),
        (ROW, [], "SENT"),
        (ROW, [replace(SEND, failed=True)], "SENT"),
        (replace(ROW, status="queued"), [SEND], "at rest"),
        (replace(ROW, client_id="b"), [SEND], "no row"),
        (replace(ROW, key_id="OTHER"), [SEND], "a key of no send"),
        (replace(ROW, status="accepted", msg_id=12, key_id=None), [SEND], "knows nothing"),
    ],
)
def test_the_oracle_sees_what_is_wrong(row: Row, sends: list[Taken], word: str) -> None:
    assert any(word in complaint for complaint in complaints([row], sends, ["a"], {}))


def test_the_oracle_sees_a_chat_out_of_order() -> None:
    later = replace(ROW, number=1, client_id="b", msg_id=9, key_id="OTHER")
    found = complaints([ROW, later], [SEND, replace(SEND, msg_id=9, key_id="OTHER")], ["a", "b"], {})

    assert [complaint for complaint in found if "not in order" in complaint] == found
