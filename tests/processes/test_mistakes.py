"""What a newcomer gets wrong: one sentence, exit code 2, no traceback. Settings alone: tests/unit/test_settings.py."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launcher.settings import SECRET
from tests.launcher.terminal import Ended, Terminal

NOWHERE = "postgresql://gateway:pass@127.0.0.1:1/shop"

# Words of the command · environment · what is said. `{file}` is a file, `{folder}` a folder, `{port}` a port in use.
MISTAKES: dict[str, tuple[str, dict[str, str], str]] = {
    "no command of that name": ("serv", {}, "No such command"),
    "no flag of that name": ("serve --prot 80", {}, "No such option"),
    "a flag without its value": ("serve --port", {}, "requires an argument"),
    "a port that is a word": ("serve --port http", {}, "valid integer"),
    "a port that is too high": ("serve --port 65536", {}, "GATEWAY_PORT"),
    "a port in use": ("serve --port {port}", {}, "is in use"),
    "a host that is none": ("serve --port 0 --host not.a.host.invalid", {}, "cannot be opened"),
    "a host with a scheme": ("serve --port 0 --host http://127.0.0.1", {}, "cannot be opened"),
    "workers that are none": ("serve --port 0 --workers 0", {}, "GATEWAY_WORKERS"),
    "workers with the simulator": (
        "serve --port 0 --workers 2 --simulator",
        {},
        "Leave GATEWAY_WORKERS at 1",
    ),
    "a data folder that is a file": (
        "serve --port 0 --data-dir {file}",
        {"GATEWAY_SECRET": ""},
        "data folder",
    ),
    "a data folder below a file": (
        "serve --port 0 --data-dir {file}/x",
        {"GATEWAY_SECRET": ""},
        "data folder",
    ),
    "a data folder of a name that is too long": (
        "serve --port 0 --data-dir " + "a" * 300,
        {"GATEWAY_SECRET": ""},
        "data folder",
    ),
    "a host of the database that is no name": (
        "migrate",
        {"DATABASE_URL": "postgresql://u@db..shop/x"},
        "The host of db..shop:5432 is not known",
    ),
    "a data folder in memory": ("serve --port 0 --data-dir /dev/shm/gateway-mistake", {}, "is in memory"),
    "an empty secret on the network": (
        "serve --port 0 --host 0.0.0.0",
        {"GATEWAY_SECRET": ""},
        "GATEWAY_SECRET is required",
    ),
    "a short secret on the network": (
        "serve --port 0 --host 0.0.0.0",
        {"GATEWAY_SECRET": "short"},
        "can be guessed",
    ),
    "a database of another make": (
        "migrate",
        {"DATABASE_URL": "mysql://shop@h/shop"},
        "must look like postgresql://",
    ),
    "a database address in quotes": (
        "migrate",
        {"DATABASE_URL": f"'{NOWHERE}'"},
        "must look like postgresql://",
    ),
    "a password with a slash": ("migrate", {"DATABASE_URL": "postgresql://u:a/b@127.0.0.1:1/x"}, "%40, %2F"),
    "a database that nothing serves": ("migrate", {}, "Nothing listens at 127.0.0.1:1"),
    "a host of the database that is not known": (
        "migrate",
        {"DATABASE_URL": "postgresql://u@db.invalid/x"},
        "is not known",
    ),
    "a socket that is not there": (
        "migrate",
        {"DATABASE_URL": "postgresql:///x?host=/nowhere"},
        "no Postgres socket",
    ),
    "an SSL mode that is none": ("migrate", {"DATABASE_URL": f"{NOWHERE}?sslmode=maybe"}, "sslmode"),
    "a certificate that is not there": (
        "migrate",
        {"DATABASE_URL": f"{NOWHERE}?sslmode=verify-full&sslrootcert=/nowhere.pem"},
        "nowhere.pem",
    ),
    "a setting of the server that is none": (
        "serve --port 0",
        {"GATEWAY_PROT": "1"},
        "Did you mean GATEWAY_PORT?",
    ),
    "an address for listening of another make": (
        "migrate",
        {"GATEWAY_LISTEN_URL": "redis://h"},
        "GATEWAY_LISTEN_URL must look like",
    ),
    "an upstream without TLS": ("sync", {"WASENDER_BASE_URL": "http://www.wasenderapi.com"}, ""),
    "a public address without a scheme": (
        "serve --port 0 --public-url shop.example",
        {},
        "GATEWAY_PUBLIC_URL must be an address like",
    ),
    "a role that is none": ("token --role boss", {}, "boss"),
    "a time that is none": ("token --expires soon", {}, "is not a time"),
    "a time that is too long": ("token --expires 400d", {}, "90d at most"),
    "a session that is a name": ("token --session shop", {}, "valid integer"),
    "a name of two lines": ("token --name a\nb", {}, "all of them in one line"),
    "an expiry of a link that is none": ("login-link --expires never", {}, "is not a time"),
    "a token for a service that is none": ("integrations set whatsapp", {}, ""),
    "an empty token": ("integrations set wasender", {}, ""),
    "no one to revoke": ("token revoke", {}, "either --sub NAME or --id JTI"),
    "two to revoke": ("token revoke --sub a --id b", {}, "either --sub NAME or --id JTI"),
    "a journal entry that is a word": ("journal show first", {}, "valid integer"),
    "an outcome that is none": ("journal --outcome bad", {}, ""),
    "a person of no name": ("user add", {}, "Missing argument"),
    "an empty password": ("user add Ann --role admin", {}, "The password is empty"),
    "media to nowhere": ("media move ftp://h/x", {}, ""),
    "an issuer without keys": ("serve --port 0", {"GATEWAY_JWT_ISSUER": "https://id.example"}, ""),
    "a media store that is a page": (
        "serve --port 0",
        {"GATEWAY_MEDIA_URL": "https://h/x"},
        "GATEWAY_MEDIA_URL must be an address like",
    ),
    "a proxy that is a name": (
        "serve --port 0",
        {"GATEWAY_TRUSTED_PROXIES": "nginx"},
        "must be addresses or networks",
    ),
    "a state of the simulator below a file": (
        "simulator --port 0 --state {file}/x/y.json",
        {},
        "cannot be used",
    ),
}


def sentence_of(ended: Ended) -> str:
    """What was said, in one sentence; usage comes in a frame of its own."""
    said = ended.err + ended.out
    assert ended.code == 2, ended
    assert "Traceback" not in said, ended
    lines = [line for line in ended.err.splitlines() if line.strip()]
    if not lines[0].startswith("Usage:"):
        assert len(lines) == 1, ended
        assert lines[0].startswith("Error: "), ended
    return " ".join(ended.err.split())


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


async def test_every_mistake_is_one_sentence_and_exit_code_2(terminal: Terminal, taken_port: int) -> None:
    file = Path(terminal.folder / "a-file")
    await asyncio.to_thread(file.write_text, "")
    at_once = asyncio.Semaphore(2)
    wrong: dict[str, str] = {}

    async def make(name: str, line: str, env: dict[str, str], says: str) -> None:
        words = [word.format(file=file, port=taken_port) for word in line.split(" ")]
        whole = {"DATABASE_URL": NOWHERE, "GATEWAY_SECRET": SECRET, **env}
        async with at_once:
            ended = await terminal.run(*words, env=whole, stdin="\n")
        try:
            assert says in sentence_of(ended)
        except AssertionError as error:
            wrong[name] = f"{line}: {error}"

    await asyncio.gather(*(make(name, *mistake) for name, mistake in MISTAKES.items()))
    assert not wrong, "\n".join(f"{name}: {said[:400]}" for name, said in wrong.items())
    assert len(MISTAKES) >= 46
