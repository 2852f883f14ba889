"""Schemathesis, a tool of others, believes the description and tries to prove the server wrong, over real HTTP.

It sends what the document allows and what it forbids, and fails on: a 500, a status, a media type or a header that
is not documented, a reply that does not fit its schema, a method that is not refused, a login that is not asked for.
The document it gets is stricter than the one served: a reply may hold no field that is not described.
"""

import asyncio
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.http.api.openapi import document
from gateway.http.api.schemas import Body
from tests.http.support import Shop, eventually

SEED = 20261123
DEADLINE_S = 600
"""Half a minute is enough on a machine that does nothing else."""

CHAT = "15550002222"


def strict(spec: dict[str, Any]) -> dict[str, Any]:
    """The document with every reply closed, unless a model says that more fields may come."""
    requests = {model.__name__ for model in subclasses(Body)}
    for name, schema in spec["components"]["schemas"].items():
        if "properties" in schema and name not in requests:
            schema.setdefault("additionalProperties", False)
    return spec


def subclasses(kind: type[Body]) -> set[type[Body]]:
    return {kind, *(item for child in kind.__subclasses__() for item in subclasses(child))}


def configuration(shop: Shop, ids: list[int], secret: str) -> str:
    """What the tool must know of this shop to get past its doors most of the time."""
    return f"""
seed = {SEED}
base-url = "{shop.gateway.url}"
request-timeout = 60.0
max-redirects = 0
warnings = false
headers = {{ Authorization = "Bearer {shop.gateway.token()}" }}

[dictionaries.sessions]
values = {ids[:2]}

[dictionaries.linked]
values = [{ids[0]}]

[dictionaries.chats]
values = ["{CHAT}", "{CHAT}@s.whatsapp.net"]

[parameters]
"path.id" = {{ dictionary = "sessions", probability = 0.7 }}
"path.chat" = {{ dictionary = "chats", probability = 0.7 }}
"query.session" = {{ dictionary = "sessions", probability = 0.7 }}

# 502, 503 and 504 are documented; what must never come is 500.
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 502, 503, 504]

# The simulator refuses what WasenderAPI would (a number twice, a plan's limit), which no schema can say.
[checks.positive_data_acceptance]
enabled = false

[phases.stateful]
enabled = false

# The others are needed to the end.
[[operations]]
include-operation-id = "delete_session"
parameters = {{ "path.id" = {ids[2]} }}

# Nobody scans: the code to ask for stays.
[[operations]]
include-operation-id = ["disconnect_session", "restart_session"]
parameters = {{ "path.id" = {{ dictionary = "linked", probability = 0.7 }} }}

# Another method at these addresses means a session of that name, and is refused as one.
[[operations]]
include-path-regex = "/(list.php|sync|sync.php|journal/retry|media/links)$"
checks.unsupported_method.enabled = false
checks.allow_header_conformance.enabled = false

# Settings are read leniently ("true" is true).
[[operations]]
include-operation-id = ["create_session", "update_session"]
checks.negative_data_rejection.enabled = false

# A webhook is kept whatever its shape.
[[operations]]
include-tag = "Webhooks"
checks.negative_data_rejection.enabled = false
parameters = {{ "header.X-Webhook-Signature" = "{secret}", "path.id" = {ids[0]} }}
"""


async def running_shop(shop: Shop) -> tuple[list[int], str]:
    """One session linked, with a conversation, one being linked, one to delete. Their ids, and a webhook secret."""
    linked, linking, spare = [
        await shop.create(name=name, phone_number=f"+1555000{number}")
        for number, name in enumerate(("Linked", "Linking", "Spare"), start=1001)
    ]
    for session_id in (linked, linking):
        path = f"/api/whatsapp-sessions/{session_id}"
        await shop.gateway.data("POST", f"{path}/connect")
        code = partial(shop.gateway.data, "GET", f"{path}/qr-code")
        await eventually(code, lambda data: data["qrCode"] is not None, "a code")
    await shop.gateway.data("POST", f"/_simulator/sessions/{linked}/scan", token="")
    status = partial(shop.gateway.data, "GET", f"/api/whatsapp-sessions/{linked}/status")
    await eventually(status, lambda data: data["status"] == "connected", "the link")
    inbound = {"from": f"+{CHAT}", "text": "Is it open?", "push_name": "Ann"}
    await shop.gateway.data("POST", f"/_simulator/sessions/{linked}/inbound", inbound, token="")
    await eventually(lambda: shop.rows(), what="the message")
    path = f"/api/whatsapp-sessions/{linked}?reveal=secrets"
    return [linked, linking, spare], (await shop.gateway.data("GET", path))["webhook_secret"]


async def schemathesis(folder: Path, *options: str) -> tuple[int, str]:
    """Exit code and output of one run, in a process of its own, in a folder that holds its configuration."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--no-color", *options,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode()


@pytest.mark.timeout(DEADLINE_S + 60)
async def test_no_request_finds_a_500_or_an_answer_that_is_not_described(
    empty_shop: Shop, tmp_path: Path
) -> None:
    ids, secret = await running_shop(empty_shop)
    (tmp_path / "openapi.json").write_text(json.dumps(strict(document())))
    (tmp_path / "schemathesis.toml").write_text(configuration(empty_shop, ids, secret))

    code, output = await schemathesis(
        tmp_path, "--max-examples", "12", "--continue-on-failure", "--suppress-health-check", "too_slow"
    )

    assert code == 0, output
