"""How soon the first byte of a stored file comes, beside a bare file server's."""

import http.client
import json
import random
import tempfile
import time
from pathlib import Path

from tests.benchmarks.figures import Run
from tests.benchmarks.machine import median
from tests.benchmarks.served import Served
from tests.launcher.running import mint
from tests.launcher.settings import SECRET

PART = "files"
_BYTES = 200_000
_MOST = 3.0
"""Times the bare server: a login is checked and a row is read, besides."""


def _first_byte_ms(port: int, path: str, headers: dict[str, str], times: int) -> float:
    """Median over one kept connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read(1)
        taken.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, answer.status
        assert len(answer.read()) == _BYTES - 1
    connection.close()
    return median(taken[len(taken) // 10 :])


def _uploaded(port: int, content: bytes, headers: dict[str, str]) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/api/media", content, {**headers, "Content-Type": "image/jpeg"})
    answer = connection.getresponse()
    said = json.loads(answer.read())
    assert answer.status == 201, said
    connection.close()
    return str(said["data"]["id"])


def run_part(run: Run) -> None:
    content = b"\xff\xd8\xff" + random.Random(1).randbytes(_BYTES - 3)
    times = run.size.messages * 10
    headers = {"Authorization": f"Bearer {mint(SECRET)}"}
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        with Served.python("tests.benchmarks.peers.bare_files", file.name) as bare:
            bare_port = int(bare.wait_for(r"ready (\d+)")[1])
            floor = median(_first_byte_ms(bare_port, "/file", {}, times) for _ in range(run.size.rounds))
    run.add(PART, "bare file server, first byte of 200 kB", floor, "ms")
    with run.ground.database() as dsn, run.ground.gateway(dsn) as (_, port):
        path = f"/api/media/{_uploaded(port, content, headers)}"
        ours = median(_first_byte_ms(port, path, headers, times) for _ in range(run.size.rounds))
    target = f"{ours / floor:.2f} × bare (≤ {_MOST:g})"
    run.add(PART, "gateway, first byte of 200 kB", ours, "ms", target, is_met=ours <= _MOST * floor)
