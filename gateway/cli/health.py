"""Whether the gateway of this machine can keep webhooks: for health checks of containers, at any port.

It loads nothing but the standard library, since it runs every few seconds: `python -m gateway.cli.health`.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

TIMEOUT_S = 2.0


def addresses(data_dir: str | None, host: str | None, port: str | None) -> Iterator[str]:
    """Where it may listen: where the last start said so, a demo's included, and where the environment says so."""
    for folder in (Path(data_dir), Path(data_dir) / "demo") if data_dir else ():
        try:
            noted = (folder / "address").read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if noted:
            yield noted
    name = "127.0.0.1" if host in (None, "", "0.0.0.0", "::", "localhost") else str(host)
    number = port if port and port.isdigit() else "8000"  # Kubernetes puts an address into GATEWAY_PORT
    yield f"http://{f'[{name}]' if ':' in name else name}:{number}"


def look(address: str) -> tuple[bool, str]:
    """Whether it is ready, and what it says. Raises OSError where nothing answers."""
    opener = build_opener(ProxyHandler({}))  # a proxy of the environment is for other hosts
    try:
        with opener.open(f"{address}/readyz", timeout=TIMEOUT_S) as reply:
            is_ready, body = True, reply.read()
    except HTTPError as error:
        is_ready, body = False, error.read()
    try:
        said = json.loads(body)
        return is_ready, " ".join([str(said["status"]), *([str(said["why"])] if "why" in said else [])])
    except (ValueError, KeyError, TypeError):
        return False, "what answers there is no gateway"


def report(places: Iterable[str]) -> int:
    """Prints what `/readyz` says where something answers. The exit code: 0 if webhooks can be kept, 1 if not."""
    address = said = ""
    for address in dict.fromkeys(places):
        try:
            is_ready, words = look(address)
        except OSError as error:
            said = said or f"nothing answers ({getattr(error, 'reason', error)})"
        else:
            print(f"{address}: {words}")  # noqa: T201
            return 0 if is_ready else 1
    print(f"{address}: {said}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    asked = (os.environ.get(f"GATEWAY_{name}") for name in ("DATA_DIR", "HOST", "PORT"))
    sys.exit(report(addresses(*asked)))
