"""A webhook's message reaches the browsers from the write itself; everything else as it always did."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tests.launcher.running import Running, Socket
from tests.postgres.writers import insert_message
from tests.realtime.live import heard, offs_of, pong


@asynccontextmanager
async def deaf(live: Running) -> AsyncIterator[None]:
    """While it lasts, the gateway hears no notification: its listening backend is stopped."""
    backend = await live.gateway.live.listener.statement("SELECT pg_backend_pid()")
    os.kill(backend, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(backend, signal.SIGCONT)


@asynccontextmanager
async def linked(live: Running) -> AsyncIterator[tuple[int, Socket]]:
    """A linked session, and a client that follows it."""
    session = await live.data(
        "POST", "/api/whatsapp-sessions", {"name": "Shop", "phone_number": "+15550001111"}
    )
    number = session["id"]
    async with live.socket() as phone:
        await phone.subscribe(f"session:{number}")
        await live.data("POST", f"/api/whatsapp-sessions/{number}/connect")
        await phone.state("session.qr")
        await live.data("POST", f"/_simulator/sessions/{number}/scan", token="")
        await phone.state("session.link_ended")
    async with live.socket() as socket:
        await socket.subscribe(f"inbox:{number}")
        yield number, socket


def counted(live: Running) -> list[str]:
    """What the feed asks the streams, from now on."""
    store, asked = live.gateway.repositories.live_streams, []

    def counting(name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        def asking(*arguments: Any) -> Any:
            asked.append(name)
            return ask(*arguments)

        return asking

    for name in ("extents", "read_unread", "read_after"):
        setattr(store, name, counting(name, getattr(store, name)))
    return asked


async def inbound(live: Running, session_id: int, text: str) -> None:
    """A customer writes; returns when the webhook is answered."""
    told = {"from": "+4915123456789", "text": text, "push_name": "Ann"}
    await live.data("POST", f"/_simulator/sessions/{session_id}/inbound", told, token="")


async def test_a_customers_message_arrives_without_a_notification(live: Running) -> None:
    reads = counted(live)
    async with linked(live) as (number, socket), deaf(live):
        reads.clear()
        await inbound(live, number, "is it open?")

        created = await socket.event("message.created")
        assert created["data"]["message_text"] == "is it open?"
        assert reads == []


async def test_rows_of_another_writer_among_ours_come_in_their_order_and_once(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with linked(live) as (number, socket):
        async with deaf(live):
            await inbound(live, number, "ours")
            await socket.event("message.created")
            await insert_message(writer, number, message_text="theirs")
            await inbound(live, number, "ours, behind theirs")
        await insert_message(writer, number, message_text="theirs again")
        await heard(live, number, 4)
        await pong(socket)

        texts = [frame["data"]["message_text"] for frame in socket.frames if frame["type"] == "event"]
        rows = await writer.fetch(
            "SELECT record ->> 'message_text' AS text FROM gateway.stream WHERE inbox = $1 ORDER BY off",
            number,
        )
        assert texts == [row["text"] for row in rows]
        assert sorted(texts) == ["ours", "ours, behind theirs", "theirs", "theirs again"]
        assert offs_of(socket.frames) == [1, 2, 3, 4]


async def test_messages_that_a_trigger_of_the_shop_writes_at_commit_arrive_at_once(
    live: Running, writer: asyncpg.Connection
) -> None:
    await writer.execute(
        """
        CREATE FUNCTION public.echo() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.message_text <> 'echo' THEN
                INSERT INTO public.whatsapp_incoming_messages
                    (message_id, from_phone, message_text, wasender_session_id)
                VALUES (NEW.message_id || '-echo', NEW.from_phone, 'echo', NEW.wasender_session_id);
            END IF;
            RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER echo AFTER INSERT ON public.whatsapp_incoming_messages
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.echo();
        """
    )
    async with linked(live) as (number, socket):
        for round_ in range(5):
            await inbound(live, number, f"shout {round_}")
            async with asyncio.timeout(5):  # the regular look at everything comes after ten
                await heard(live, number, 2 * round_ + 2)
        await pong(socket)

        assert offs_of(socket.frames) == list(range(1, 11))


async def test_many_webhooks_at_once_arrive_each_once_in_the_order_of_the_stream(
    live: Running, writer: asyncpg.Connection
) -> None:
    count = 30
    async with linked(live) as (number, socket):
        await asyncio.gather(
            *(inbound(live, number, f"m{place}") for place in range(count)),
            insert_message(writer, number),
        )
        await heard(live, number, count + 1)
        await pong(socket)

        assert offs_of(socket.frames) == list(range(1, count + 2))
