"""Chance against the queue in its real table, for a moment. More: `python -m tests.sending.sender_hunt --seeds 200`."""

from tests.sending.sender_hunt import MESSAGES, hunt


async def test_chance_doubles_nothing_loses_nothing_and_leaves_no_row_that_says_what_is_not_true(
    database: str,
) -> None:
    found, complaints = await hunt(database, range(8))

    assert not complaints
    assert found["messages"] == 8 * MESSAGES
    assert found["attempts"] > found["settled"] > 0
    assert min(found[trouble] for trouble in ("take-overs", "before", "after", "late")) > 0
