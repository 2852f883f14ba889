"""Every command finds the database, the secret and the upstream of its data folder, whether a gateway runs or not."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.launcher.terminal import Command, Ended, Terminal

PASSPHRASE = "four words are enough"
GREETING = r"(http://127\.0\.0\.1:\d+)/login\?ticket="

EVERY_COMMAND: list[tuple[list[str], str, int, str]] = [
    (["migrate"], "", 0, "Nothing to do"),
    (["user", "list"], "", 0, "Ann  agent"),
    (["user", "password", "Ann"], "another-good-one", 0, "Done."),
    (["user", "disable", "Ann"], "", 0, ""),
    (["login-link"], "", 0, "/login?ticket="),
    (["token"], "", 0, "ey"),
    (["token", "revoke", "--sub", "zed"], "", 0, "zed"),
    (["journal"], "", 0, "Nothing of that kind"),
    (["journal", "retry", "--failed"], "", 0, "nothing to process"),
    (["media", "state"], "", 0, "The media store"),
    (["media", "retry"], "", 0, "No such file"),
    (["targets", "list"], "", 0, "no target yet"),
    (["export", "15550002222", "--session", "1"], "", 1, "no messages of this chat"),
    (["integrations", "set", "wasender"], "1|token", 0, "Stored"),
    (["secrets", "rotate"], "", 0, "encrypted anew"),
    (["backup", "FILE"], PASSPHRASE, 0, "holds the database"),
]
"""Words, standard input, exit code, and what is said; Ann is the one person of the database that is meant."""


async def run_all(terminal: Terminal, folder: Path, rows: Sequence[tuple[list[str], str, int, str]]) -> None:
    """Each of them, with nothing but the data folder to go by."""
    for words, stdin, code, says in rows:
        words = [str(folder.parent / "whole.backup") if word == "FILE" else word for word in words]
        ended = await terminal.run(*words, "--data-dir", folder, stdin=stdin + "\n")
        assert ended.code == code, (words, ended)
        assert says in ended.out + ended.err, (words, ended)


async def said_by(terminal: Terminal, *words: str | Path) -> str:
    ended = await terminal.run(*words)
    assert ended.code == 0, (words, ended)
    return ended.out


async def add_ann(terminal: Terminal, folder: Path, *flags: str) -> Ended:
    return await terminal.run(
        "user", "add", "Ann", "--role", "agent", "--data-dir", folder, *flags, stdin="a-good-password\n"
    )


async def url_of(demo: Command) -> str:
    return (await demo.line(GREETING))[1]


async def test_every_command_beside_a_demo_works_on_its_database(
    terminal: Terminal, used_data_dir: Path
) -> None:
    async with terminal.start("demo", "--port", "0", "--data-dir", used_data_dir) as demo:
        url = await url_of(demo)
        assert (await add_ann(terminal, used_data_dir)).code == 0
        # Named or not, it is the same one: no second, empty database is made beside it.
        assert "Nothing to do" in await said_by(
            terminal, "migrate", "--embedded", "--data-dir", used_data_dir
        )
        await run_all(terminal, used_data_dir, EVERY_COMMAND)

        assert f"{url}: ready" in await said_by(terminal, "health", "--data-dir", used_data_dir)
        assert "0 sessions" in await said_by(terminal, "sync", "--data-dir", used_data_dir)
        found = await said_by(terminal, "doctor", "--data-dir", used_data_dir)
        assert f"A gateway answers at {url}" in found
        assert "WasenderAPI takes the account token" in found
        assert (await said_by(terminal, "login-link", "--data-dir", used_data_dir)).startswith(url)
        backup = used_data_dir.parent / "whole.backup"
        restored = await terminal.run("restore", backup, "--data-dir", used_data_dir, stdin=f"{PASSPHRASE}\n")
        assert "A gateway runs on the database" in restored.err
    assert not (used_data_dir / "postgres").exists()


async def test_a_demo_that_has_ended_is_found_by_the_same_commands(
    terminal: Terminal, used_data_dir: Path
) -> None:
    assert (await add_ann(terminal, used_data_dir)).code == 0
    rows = [row for row in EVERY_COMMAND if row[0][0] in ("migrate", "user", "media", "backup")]
    await run_all(terminal, used_data_dir, rows)

    assert "its gateway does not run now" in await said_by(terminal, "doctor", "--data-dir", used_data_dir)
    assert "start it first" in (await terminal.run("sync", "--data-dir", used_data_dir)).complaint()
    assert not (used_data_dir / "postgres").exists()


async def test_commands_beside_a_gateway_with_a_private_postgres_need_no_flag(
    terminal: Terminal, used_data_dir: Path
) -> None:
    folder = used_data_dir / "demo"  # one that has been migrated, as the folder of a gateway of its own
    (folder / "simulated").unlink()
    serving = ("serve", "--embedded", "--simulator", "--port", "0", "--data-dir", folder)
    async with terminal.start(*serving) as gateway:
        url = (await gateway.line(r"The gateway runs at (\S+)"))[1]
        assert (await add_ann(terminal, folder)).code == 0
        await run_all(terminal, folder, EVERY_COMMAND[:2])
        assert "0 sessions" in await said_by(terminal, "sync", "--data-dir", folder)
        assert f"A gateway answers at {url}" in await said_by(terminal, "doctor", "--data-dir", folder)

    await run_all(terminal, folder, EVERY_COMMAND[:2])


async def test_what_serve_would_start_wins_over_a_demo_that_does_not_run(
    terminal: Terminal, used_data_dir: Path
) -> None:
    assert (await add_ann(terminal, used_data_dir)).code == 0
    said = await said_by(terminal, "user", "list", "--embedded", "--data-dir", used_data_dir)

    assert "Ann" not in said
    assert "Ann" not in await said_by(terminal, "user", "list", "--data-dir", used_data_dir)


async def test_two_commands_that_start_the_same_postgres_at_once_both_work(
    terminal: Terminal, used_data_dir: Path
) -> None:
    both = await asyncio.gather(
        *(terminal.run("migrate", "--data-dir", used_data_dir) for _ in range(2)),
        terminal.run("user", "list", "--data-dir", used_data_dir),
    )

    assert [ended.code for ended in both] == [0, 0, 0], both


@pytest.mark.parametrize(
    "words", [["migrate"], ["user", "list"], ["journal"], ["sync"], ["serve"]], ids=" ".join
)
async def test_a_folder_without_any_database_says_so(
    terminal: Terminal, data_dir: Path, words: list[str]
) -> None:
    ended = await terminal.run(*words, "--data-dir", data_dir)

    assert ended.complaint().startswith("There is no database. Set DATABASE_URL")
