"""Several workers on one port: each a whole gateway, started again when it dies, ended together."""

import os
import re
import signal
from pathlib import Path

import aiohttp

from gateway.domain.access import Role
from tests.launcher.running import Remote, reach
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Command, Terminal, until
from tests.processes.postgres_processes import servers_of


def children_of(pid: int) -> list[int]:
    """Its worker processes; the embedded Postgres is a child, too, and not one of them."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed if b"serve" in Path(f"/proc/{child}/cmdline").read_bytes()]


async def ready(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(url + "/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def test_workers_share_a_port_are_replaced_and_end_together(
    terminal: Terminal, data_dir: Path, free_port: int
) -> None:
    url = f"http://127.0.0.1:{free_port}"
    env = {"GATEWAY_SECRET": SECRET, "GATEWAY_WORKERS": "2", "WASENDER_BASE_URL": "http://127.0.0.1:9/api"}
    started = ("serve", "--embedded", "--data-dir", data_dir, "--port", str(free_port))
    async with terminal.start(*started, env=env) as gateway:
        await both_up(gateway)
        workers = children_of(gateway.pid)
        assert len(workers) == 2
        async with reach(url) as remote:
            assert await remote.data("GET", "/api/whatsapp-sessions", token=remote.token(Role.VIEWER)) == []

            before = await refused(remote)
            for _ in range(20):
                assert (await remote.call("GET", "/api/me", token="not-a-token"))[0] == 401
            # Whichever worker answers: the sum of both, a connection for each.
            assert [await refused(remote) - before for _ in range(4)] == [20, 20, 20, 20]

            os.kill(workers[0], signal.SIGKILL)
            await until(lambda: len(set(children_of(gateway.pid)) - {workers[0]}) == 2, "a new worker")
            assert await ready(url)
            assert await refused(remote) - before == 20  # what a worker counted outlives it
        ended = await gateway.end(signal.SIGTERM)

    assert ended.code == 0, ended
    assert "Traceback" not in ended.err
    assert servers_of(data_dir) == []


async def refused(remote: Remote) -> float:
    """How many bad tokens all workers have counted."""
    async with aiohttp.ClientSession() as http, http.get(remote.url + "/metrics") as answer:
        said = await answer.text()
    (count,) = re.findall(r'^gateway_refused_total{kind="token"} (.*)$', said, re.MULTILINE) or ["0"]
    assert (
        len(re.findall(r"^gateway_gateways ", said, re.MULTILINE)) == 1
    )  # one line, not one for each worker
    return float(count)


async def both_up(gateway: Command) -> None:
    await until(lambda: gateway.said.count("The gateway runs at") == 2, "both workers run")


async def test_the_simulator_is_one_process_and_says_so(terminal: Terminal, data_dir: Path) -> None:
    ended = await terminal.run("serve", "--embedded", "--simulator", "--workers", "2", "--data-dir", data_dir)
    assert "Leave GATEWAY_WORKERS at 1" in ended.complaint()
