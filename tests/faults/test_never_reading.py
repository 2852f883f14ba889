"""Clients that never read: they cost a bounded number of bytes, delay nobody, and find everything when they do read."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg

from tests.benchmarks.machine import kernel_bytes
from tests.faults.crowd import Client
from tests.faults.server import Server
from tests.faults.town import following, town
from tests.faults.writers import add_session
from tests.launcher.child import Child
from tests.launcher.running import mint
from tests.launcher.settings import SECRET
from tests.realtime.live import until

MUTE = 100
KIB = 1024
BURSTS, EACH = 60, 20
WARM = 20
"""Bursts before they come: what the gateway keeps for everybody is in memory by then."""

FIRST, LAST = WARM * EACH + 1, (WARM + BURSTS) * EACH
TEXT = "x" * 6 * KIB

_BURST = """
INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text, wasender_session_id)
SELECT 'B' || $1::text || '-' || i, '4915123456789', $2, 12 FROM generate_series(1, $3::int) AS i
"""


async def test_a_hundred_clients_that_read_nothing_are_bounded_and_lose_nothing(
    server: Server, tmp_path: Path, way: str
) -> None:
    """Seven megabytes for each of them, and none takes any."""
    async with town(server, tmp_path, ways=(way,)) as place, following(place) as reader:
        writer = await asyncpg.connect(place.dsn)
        await add_session(writer, 12)
        child = place.houses[0].child
        mute = [Client(child.address, mint(SECRET), rcvbuf=32 * KIB) for _ in range(MUTE)]
        try:
            await storm(writer, child, range(WARM), lambda: reader.offs.get(12, 0))
            before = child.rss_bytes()
            await asyncio.gather(*(client.come(b"") for client in mute))
            most = await storm(writer, child, range(WARM, WARM + BURSTS), lambda: reader.offs.get(12, 0))

            kernel = kernel_bytes(child.address[1])
            assert kernel < MUTE * 192 * KIB, f"{kernel // KIB // MUTE} KiB in the kernel for each"
            assert most - before < MUTE * 256 * KIB, f"{(most - before) // KIB // MUTE} KiB for each"
            assert reader.complaints == []
            assert [item.off for item in reader.shown[12]] == list(range(1, LAST + 1))
            last = f'"off":{LAST},'.encode()
            async with asyncio.timeout(60):
                await asyncio.gather(*(client.see(last) for client in mute[:5]))
            assert all(client.offs() == list(range(FIRST, LAST + 1)) for client in mute[:5])
        finally:
            for client in mute:
                client.vanish()
            await writer.close()


async def storm(writer: asyncpg.Connection, child: Child, bursts: range, shown: Callable[[], int]) -> int:
    """Burst after burst, each seen by the one who reads before the next comes; the most memory meanwhile."""
    most = 0
    for number in bursts:
        await writer.execute(_BURST, str(number), TEXT, EACH)
        await until(lambda: shown() >= (number + 1) * EACH, "who reads has it")  # noqa: B023
        most = max(most, child.rss_bytes())
    return most
