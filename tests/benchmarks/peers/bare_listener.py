"""The bare minimum: a LISTEN connection whose callback notes when it was called. `bare_listener DSN`.

The number of the message comes in the NOTIFY itself. Prints what it has heard whenever the message says `end`.
"""

import asyncio
import json
import sys
import time

import asyncpg
import uvloop


async def main(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    heard: list[tuple[int, float]] = []

    def callback(_: object, __: int, ___: str, payload: object) -> None:
        now = time.monotonic()
        if payload == "end":
            sys.stdout.write("heard " + json.dumps(heard) + "\n")
            sys.stdout.flush()
            heard.clear()
        else:
            heard.append((int(str(payload)), now))

    await connection.add_listener("bare", callback)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
