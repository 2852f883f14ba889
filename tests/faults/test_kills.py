"""kill -9 at every step of a webhook: whatever was acknowledged is there, and nothing is there twice.

The steps are what the gateway and Postgres say to each other: it is killed in front of the first piece, the second
one, and so on, until a webhook gets through unharmed.
"""

from pathlib import Path

import aiohttp
import asyncpg

from tests.faults.ledger import Ledger
from tests.faults.proxy import ignore
from tests.faults.server import Server
from tests.faults.storm import settled
from tests.faults.town import House, following, town
from tests.faults.writers import Sender, add_session, message
from tests.realtime.live import until

MAX_STEPS = 40


class Trap:
    """Kills a gateway in front of a piece on its wire to Postgres; what is said afterwards never arrives."""

    def __init__(self, house: House, step: int) -> None:
        self._house = house
        self._left = step
        self.has_sprung = False
        house.to_postgres.on_piece = self._on_piece

    def _on_piece(self, link: int, is_forth: bool, piece: bytes) -> None:
        self._left -= 1
        if self._left == 0:
            self.has_sprung = True
            self._house.child.kill_now()
            self._house.to_postgres.on_piece = ignore
            if is_forth:  # it had not been sent when the gateway died
                self._house.to_postgres.cut()


async def test_killed_at_any_step_nothing_acknowledged_is_lost_and_nothing_is_doubled(
    server: Server, tmp_path: Path, way: str
) -> None:
    async with town(server, tmp_path, ways=(way,)) as place, aiohttp.ClientSession() as http:
        writer = await asyncpg.connect(place.dsn)
        await add_session(writer, 12)
        await writer.close()
        house, ledger = place.houses[0], Ledger()
        sender = Sender(lambda: house.url, http, 12)
        chain = ledger.new_chain()
        async with following(place) as browser:
            step, has_sprung = 0, True
            while has_sprung:
                step += 1
                assert step < MAX_STEPS
                key = f"K{step}"
                assert await sender.once(message(f"before {key}")) == 200
                trap = Trap(house, step)
                status = await sender.once(message(key))
                house.to_postgres.on_piece = ignore
                has_sprung = trap.has_sprung
                if has_sprung:
                    await house.child.ended()
                    await house.child.start()
                if status != 200:
                    assert await sender.once(message(key)) == 200
                ledger.note(f"before {key}", "kept")
                ledger.note(key, "kept")
                chain.extend([f"before {key}", key])
            truth = await settled(place, ledger)
            await until(lambda: truth.is_shown_by(browser, [12]), "all is shown")

            assert step > 2  # it was killed in front of the statement, and of its answer, at the least
            assert truth.complaints(ledger) == []
            assert len(truth.rows) == 2 * step
            assert truth.complaints_about(browser, [12], rows=True) == []
