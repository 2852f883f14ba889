"""As supabase.mjs, with Supabase's own Python client. Its packages stand beside ours, because they need older ones."""

import asyncio
import json
import os
import sys
from typing import Any

from realtime import AsyncRealtimeChannel, AsyncRealtimeClient  # type: ignore[import-not-found]


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201


def told_of(name: str, payload: dict[str, Any]) -> None:
    data = payload["data"]
    change = {
        "type": str(getattr(data["type"], "value", data["type"])),
        "table": data["table"],
        "new": data.get("record") or {},
        "old": data.get("old_record") or {},
        "errors": data["errors"],
    }
    say(channel=name, change=change)


async def listen(
    client: AsyncRealtimeClient, name: str, bindings: list[dict[str, Any]]
) -> AsyncRealtimeChannel:
    channel = client.channel(name)
    for number, binding in enumerate(bindings):
        # This client hands every change to every callback, whichever binding it was for.
        heard = told_of if number == 0 else lambda *_: None
        channel.on_postgres_changes(callback=lambda payload, heard=heard: heard(name, payload), **binding)
    channel.on_system(lambda system: say(channel=name, system=dict(system)))
    await channel.subscribe(
        lambda status, error: say(
            channel=name,
            status=str(getattr(status, "value", status)),
            error=None if error is None else str(error),
        )
    )
    return channel


async def main() -> None:
    client = AsyncRealtimeClient(
        f"{os.environ['SUPABASE_URL']}/realtime/v1",
        os.environ["SUPABASE_KEY"],
        max_retries=20,
        initial_backoff=0.2,
    )
    if "SUPABASE_TOKEN" in os.environ:
        await client.set_auth(os.environ["SUPABASE_TOKEN"])
    channels: dict[str, AsyncRealtimeChannel] = {}
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        told = json.loads(line)
        if "listen" in told:
            channels[told["listen"]] = await listen(client, told["listen"], told["bindings"])
        if "leave" in told:
            # remove_channel() would not hear the reply, and say CLOSED after ten seconds.
            await channels[told["leave"]].unsubscribe()
        if "token" in told:
            await client.set_auth(told["token"])
    os._exit(0)


asyncio.run(main())
