"""`gateway doctor` in a process of its own, set up as this gateway is: what it opens and waits for is not ours."""

import asyncio
import os
import re
import sys
from typing import Any

from gateway.domain.errors import Conflict, Unavailable
from gateway.runtime.upstream import Upstream
from gateway.services.deadlines import within
from gateway.settings import Settings

MOST_S = 120.0

_LINE = re.compile(r"(?P<mark>ok  |FAIL)  (?P<subject>session \d+|.{12}|\S+) +(?P<says>.*)")
_SESSION = re.compile(r"session (\d+)")
_COMMAND = re.compile(r"`(gateway [^`]+)`")

_NOT_ITS_OWN = ("WORKER_SOCKET_FD", "PROMETHEUS_MULTIPROC_DIR", "GATEWAY_WORKERS")


def environment_of(settings: Settings, **more: str) -> dict[str, str]:
    """The environment of a command that is to be set up as this process is, whatever flags this one was given."""
    found = {name: value for name, value in os.environ.items() if name not in _NOT_ITS_OWN}
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if value is None or value == field.default:
            continue
        text = ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
        found[str(field.validation_alias)] = text
    return {**found, **more}


class Examination:
    """Runs doctor, one at a time."""

    def __init__(self, settings: Settings, upstream: Upstream) -> None:
        self._settings = settings
        self._upstream = _settings_of(upstream)
        self._is_running = False

    async def findings(self) -> list[dict[str, Any]]:
        """One for each line that doctor prints. Raises Unavailable, Conflict."""
        if self._is_running:
            raise Conflict("Doctor is looking already. Wait for what it finds.")
        self._is_running = True
        try:
            return await self._run()
        finally:
            self._is_running = False

    async def _run(self) -> list[dict[str, Any]]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "doctor",
            env=environment_of(self._settings, COLUMNS="100000", NO_COLOR="1", **self._upstream),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            said, complaint = await within(MOST_S, process.communicate(), _takes_long)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        found = [
            finding for line in said.decode(errors="replace").splitlines() if (finding := read_line(line))
        ]
        if not found:
            why = " ".join(complaint.decode(errors="replace").split())[:300]
            raise Unavailable(f"Doctor could not look: {why or 'it said nothing.'}")
        return found


def _takes_long() -> Unavailable:
    return Unavailable("Doctor has not finished within two minutes. Run `gateway doctor` there.")


def read_line(line: str) -> dict[str, Any] | None:
    """The finding that a line of doctor's is, with what mends it; None for any other line."""
    parts = _LINE.fullmatch(line)
    if parts is None:
        return None
    subject, says, is_fine = parts["subject"].strip(), parts["says"].strip(), parts["mark"] != "FAIL"
    session, command = _SESSION.fullmatch(subject), _COMMAND.search(says)
    return {
        "subject": subject,
        "is_fine": is_fine,
        "says": says,
        "repairs": int(session[1]) if session and not is_fine else None,
        "command": command[1] if command and not is_fine else None,
    }


def _settings_of(upstream: Upstream) -> dict[str, str]:
    """Settings by which a command asks the same WasenderAPI: the simulator of this process is found by its address."""
    if upstream.simulator is None:
        return {}
    return {
        "GATEWAY_SIMULATOR": "0",
        "WASENDER_BASE_URL": f"{upstream.own_url}/simulator/api",
        "WASENDER_TOKEN": upstream.simulator.account_token,
        "GATEWAY_PUBLIC_URL": upstream.address,
    }
