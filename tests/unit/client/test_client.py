"""A client's one connection: when it is tried, believed dead, given up, and renewed. Time is virtual."""

import asyncio
from collections.abc import Awaitable, Callable

import jwt
import pytest

from gateway.client import Closed, Event, Live, Refused, Snapshot
from gateway.client.client import USUAL_LIMITS, socket_url
from tests.clock import now, virtual_time
from tests.unit.client.lines import Network, settle
from tests.unit.client.model import event_frame

TOP = {"off": 0, "epoch": "a"}


def token_until(expires_at: float) -> str:
    return jwt.encode({"exp": int(expires_at)}, "a-secret-of-at-least-32-characters")


@virtual_time
async def test_a_cut_line_is_opened_again_and_the_topic_resumes() -> None:
    network = Network()
    client, _ = network.client()
    async with client:
        inbox = client.inbox("1", after={"off": 3, "epoch": "a"})
        await settle()
        network.line.welcome()
        await settle()
        network.line.push(event_frame("1", 4, "a"))
        assert isinstance(await anext(inbox), Event)
        network.line.close(1012)
        await asyncio.sleep(1.5)
        network.line.welcome()
        await settle()

        assert [line.asked("subscribe")[0]["after"] for line in network.lines] == [
            {"off": 3, "epoch": "a"},
            {"off": 4, "epoch": "a"},
        ]


@virtual_time
async def test_tries_come_after_1_2_4_8_16_30_and_30_seconds() -> None:
    network = Network()
    network.is_down = True
    client, _ = network.client()
    start = now()
    async with client:
        await asyncio.sleep(100)

    assert [round(at - start) for at in network.tries] == [0, 1, 3, 7, 15, 31, 61, 91]


@virtual_time
async def test_a_connection_that_held_makes_the_next_wait_short_and_a_brief_one_does_not() -> None:
    network, closed_at = Network(), list[float]()
    client, _ = network.client()
    async with client:
        for held_s in (0, 0, 6):
            await settle()
            network.line.welcome()
            await asyncio.sleep(held_s)
            network.line.close(1011)
            closed_at.append(now())
            await asyncio.sleep(3)

    waits = [round(back - gone) for gone, back in zip(closed_at, network.tries[1:], strict=True)]
    assert waits == [1, 2, 1]


@virtual_time
async def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    network = Network()
    client, _ = network.client()
    async with client:
        await asyncio.sleep(16)

    assert len(network.lines) == 2


@virtual_time
async def test_a_silent_line_is_asked_and_given_up_after_two_heartbeats() -> None:
    network = Network()
    client, said = network.client()
    async with client:
        await settle()
        network.line.welcome(heartbeat_s=10)
        await asyncio.sleep(17)
        assert len(network.line.asked("ping")) >= 1
        assert len(network.lines) == 1
        await asyncio.sleep(10)

        assert len(network.lines) == 2
        assert said == ["online", "reconnecting"]


@virtual_time
async def test_a_client_with_nothing_to_say_still_speaks_within_90_seconds() -> None:
    network = Network()
    client, _ = network.client()
    async with client:
        await settle()
        network.line.welcome()
        for _ in range(4):
            await asyncio.sleep(20)
            network.line.push({"type": "heartbeat", "tops": {}})

        assert len(network.lines) == 1
        assert network.line.asked("ping")


@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_drain_is_obeyed(hangs_up: bool) -> None:
    @virtual_time
    async def drained() -> None:
        network = Network()
        client, _ = network.client()
        async with client:
            await settle()
            network.line.welcome()
            start = now()
            network.line.push({"type": "drain", "reconnect_after_ms": 7200})
            if hangs_up:
                network.line.close(1012)
            await asyncio.sleep(7.0)
            assert len(network.lines) == 1
            await asyncio.sleep(6)
            assert len(network.lines) == 2
            assert network.line.at - start >= 7.2

    drained()


@virtual_time
async def test_stale_and_fresh_are_told() -> None:
    network = Network()
    client, said = network.client()
    async with client:
        await settle()
        network.line.welcome()
        network.line.push({"type": "stale", "since": "2026-01-01T00:00:00Z"}, {"type": "fresh"})
        await settle()

    assert said == ["online", "stale", "online", "closed"]


@virtual_time
async def test_what_is_not_a_json_object_is_ignored() -> None:
    network = Network()
    client, said = network.client()
    async with client:
        await settle()
        network.line.welcome()
        for text in ("{", "null", "[]", "7", '"text"'):
            network.line.push_text(text)
        await settle()

        assert said == ["online"]


# ------------------------------------------------------------------------------------------------ the end


@pytest.mark.parametrize("code", [4500, 4501, 4503, 4529])
def test_a_server_that_sends_us_away_ends_every_iteration(code: int) -> None:
    @virtual_time
    async def sent_away() -> None:
        network = Network()
        client, said = network.client()
        async with client:
            inbox, sessions = client.inbox("*"), client.sessions()
            await settle()
            network.line.close(code, "the reason")
            with pytest.raises(Closed, match="the reason"):
                await anext(inbox)
            with pytest.raises(Closed):
                await anext(sessions)
            with pytest.raises(Closed):
                await anext(client.inbox("2"))
            await asyncio.sleep(600)

        assert len(network.lines) == 1
        assert said == ["closed"]

    sent_away()


@virtual_time
async def test_leaving_the_block_ends_the_iterations_of_others() -> None:
    network = Network()
    client, _ = network.client()
    async with client:
        reader = asyncio.create_task(anext(client.inbox("1")))
        await settle()
    with pytest.raises(Closed):
        await reader


@virtual_time
async def test_a_refused_topic_ends_alone() -> None:
    network = Network()
    client, _ = network.client()
    async with client:
        inbox, sessions = client.inbox("1"), client.sessions()
        await settle()
        network.line.welcome()
        await settle()
        wish = network.line.asked("subscribe")[0]
        network.line.push({"type": "error", "ref": wish["ref"], "code": "forbidden", "message": "No."})
        network.line.confirm(state=[])
        with pytest.raises(Refused):
            await anext(inbox)

        assert await anext(sessions) == Snapshot(())


@virtual_time
async def test_what_was_closed_is_left_and_not_asked_for_again() -> None:
    network = Network()
    client, _ = network.client()
    async with client:
        await settle()
        network.line.welcome()
        await settle()
        async with client.session(3):
            await settle()
        await settle()
        assert network.line.asked("unsubscribe")[0]["topic"] == "session:3"
        network.line.close(1012)
        await asyncio.sleep(2)
        network.line.welcome()
        await settle()

        assert network.line.asked("subscribe") == []


@virtual_time
async def test_a_topic_is_followed_once_per_client() -> None:
    client, _ = Network().client()
    async with client:
        client.inbox("12")
        with pytest.raises(ValueError, match="follows inbox:12 already"):
            client.inbox("*")
        client.sessions()
        with pytest.raises(ValueError, match="follows sessions already"):
            client.sessions()


# ------------------------------------------------------------------------------------------------ the reader


@virtual_time
async def test_a_reader_that_falls_behind_pauses_its_topic_and_goes_on_where_it_stood() -> None:
    network = Network()
    client, _ = network.client()
    async with client:
        inbox = client.inbox("1", after={"off": 0, "epoch": "a"})
        await settle()
        network.line.welcome()
        await settle()
        for off in range(1, USUAL_LIMITS.queue_items + 100):
            network.line.push(event_frame("1", off, "a"))
        await asyncio.sleep(1)
        left = network.line.asked("unsubscribe")[0]
        network.line.push({"type": "unsubscribed", "ref": left["ref"], "topic": "inbox:1"})
        await settle()
        assert len(network.line.asked("subscribe")) == 1

        seen = [await anext(inbox) for _ in range(USUAL_LIMITS.queue_items)]
        await settle()

        assert network.line.asked("subscribe")[1]["after"] == {"off": USUAL_LIMITS.queue_items, "epoch": "a"}
        assert [item.off for item in seen if isinstance(item, Event)] == list(
            range(1, USUAL_LIMITS.queue_items + 1)
        )


@virtual_time
async def test_the_position_is_that_of_the_reader_and_not_of_the_line() -> None:
    network = Network()
    client, _ = network.client()
    async with client:
        inbox = client.inbox("1", after={"1": {"off": 3, "epoch": "a"}, "2": {"off": 9, "epoch": "b"}})
        await settle()
        network.line.welcome()
        await settle()
        network.line.push(event_frame("1", 4, "a"), event_frame("1", 5, "a"))
        await settle()
        await anext(inbox)
        assert inbox.position == {"1": {"off": 4, "epoch": "a"}}
        network.line.confirm(off=5, epoch="a")
        await anext(inbox)

        assert await anext(inbox) == Live({"1": {"off": 5, "epoch": "a"}})
        assert inbox.position == {"1": {"off": 5, "epoch": "a"}}


# ------------------------------------------------------------------------------------------------ the login


def numbered(life_s: float, given: list[str]) -> Callable[[], Awaitable[str]]:
    async def token() -> str:
        given.append(token_until(now() + life_s + len(given)))
        return given[-1]

    return token


@virtual_time
async def test_a_token_is_renewed_in_place_before_it_expires() -> None:
    network, given = Network(), list[str]()
    client, _ = network.client(numbered(600, given))
    async with client:
        await settle()
        network.line.welcome()
        for _ in range(27):
            await asyncio.sleep(20)
            network.line.push({"type": "heartbeat", "tops": {}})
        await asyncio.sleep(5)

        assert [frame["token"] for frame in network.line.asked("auth")] == given[1:]
        assert len(given) == 2
        assert len(network.lines) == 1


@virtual_time
async def test_a_renewal_that_is_refused_is_tried_again() -> None:
    network, given = Network(), list[str]()
    client, _ = network.client(numbered(40, given))
    async with client:
        await settle()
        network.line.welcome()
        await asyncio.sleep(37)
        (auth,) = network.line.asked("auth")
        network.line.push({"type": "error", "ref": auth["ref"], "code": "unauthenticated", "message": "No."})
        await asyncio.sleep(12)

        assert len(network.line.asked("auth")) == 2


@virtual_time
async def test_a_source_that_gives_the_same_token_again_is_not_asked_all_the_time() -> None:
    network, asked = Network(), list[float]()
    token = token_until(now() + 30)

    async def same() -> str:
        asked.append(now())
        return token

    client, _ = network.client(same)
    async with client:
        await settle()
        network.line.welcome()
        await asyncio.sleep(45)

        assert 2 <= len(asked) <= 4
        assert network.line.asked("auth") == []


@virtual_time
async def test_an_expired_login_is_renewed_once_and_then_believed() -> None:
    network, given = Network(), list[str]()
    client, _ = network.client(numbered(600, given))
    async with client:
        inbox = client.inbox("*")
        await settle()
        network.line.close(4501, "expired")
        await settle()
        assert [line.token for line in network.lines] == given
        assert len(given) == 2
        network.line.close(4501, "still expired")
        with pytest.raises(Closed, match="still expired"):
            await anext(inbox)


@virtual_time
async def test_a_token_source_that_fails_is_asked_again() -> None:
    network, calls = Network(), list[float]()

    async def token() -> str:
        calls.append(now())
        if len(calls) < 3:
            raise RuntimeError("the shop's login is down")
        return "token"

    client, _ = network.client(token)
    async with client:
        await asyncio.sleep(4)

        assert [line.token for line in network.lines] == ["token"]


# ------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("url", "socket"),
    [
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/ws"),
        ("https://gateway.example.com/", "wss://gateway.example.com/ws"),
        ("wss://gateway.example.com/inner/ws", "wss://gateway.example.com/inner/ws"),
        ("https://shop.example/gateway", "wss://shop.example/gateway/ws"),
    ],
)
def test_the_address_of_a_gateway_is_enough(url: str, socket: str) -> None:
    assert socket_url(url) == socket


def test_what_is_no_address_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="is not the address of a gateway"):
        socket_url("gateway.example.com")
