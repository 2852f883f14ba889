"""Commands that let people and programs in, and put them out: `user`, `login-link`, `token`."""

import sys
from typing import Annotated

import typer

from gateway.cli.console import DataDir, Embedded, find_settings, read_settings, run
from gateway.domain.errors import ConfigError

commands = typer.Typer()
user = typer.Typer(no_args_is_help=True, help="People who log in on the page by name and password.")
commands.add_typer(user, name="user")
token = typer.Typer(help="Logins of programs, and how to end them.")
commands.add_typer(token, name="token")

Role = Annotated[str, typer.Option(help="viewer, agent or admin.")]
SessionIds = Annotated[list[int] | None, typer.Option(min=1, help="Sessions it covers; default all.")]
Name = Annotated[str, typer.Argument(help="The name to log in with.")]


@user.command("add")
def add_user(
    name: Name,
    role: Role = "agent",
    session: SessionIds = None,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Adds a person; the password is asked for, or read from stdin."""
    from gateway.cli.actions import people

    settings = find_settings(data_dir=data_dir, embedded=embedded)
    run(people.add(settings, name, role, frozenset(session) if session else None, _password()))


@user.command("list")
def list_users(data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Lists the people who may log in by name and password."""
    from gateway.cli.actions import people

    run(people.list_all(find_settings(data_dir=data_dir, embedded=embedded)))


@user.command("password")
def set_password(name: Name, data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Gives a person a new password, and ends every login of before."""
    from gateway.cli.actions import people

    settings = find_settings(data_dir=data_dir, embedded=embedded)
    run(people.set_password(settings, name, _password()))


@user.command("disable")
def disable_user(name: Name, data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Lets a person in no more, and ends every login at once."""
    from gateway.cli.actions import people

    run(people.disable(find_settings(data_dir=data_dir, embedded=embedded), name))


@commands.command("login-link")
def login_link(
    role: Role = "agent",
    name: Annotated[str, typer.Option(help="Who it is for; shown in the audit trail.")] = "link",
    session: SessionIds = None,
    expires: Annotated[str, typer.Option(help="How long the link is good: 30m, 1h, 7d.")] = "1h",
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Prints a link that logs one browser in, once."""
    from gateway.cli.actions import logins

    settings = find_settings(data_dir=data_dir, embedded=embedded)
    run(logins.login_link(settings, role, name, frozenset(session) if session else None, expires))


@token.callback(invoke_without_command=True)
def print_token(
    context: typer.Context,
    role: Role = "agent",
    name: Annotated[str, typer.Option(help="Who it is for; shown in the audit trail.")] = "token",
    session: SessionIds = None,
    expires: Annotated[str, typer.Option(help="How long it is good: 30m, 12h, 7d; at most 90d.")] = "12h",
    data_dir: DataDir = None,
) -> None:
    """Prints a JWT for the API and the sockets."""
    if context.invoked_subcommand is not None:
        return
    from gateway.cli.actions import token as logins

    sessions = frozenset(session) if session else None
    print(logins.token(read_settings(data_dir=data_dir), role, name, sessions, expires))  # noqa: T201


@token.command("revoke")
def revoke(
    sub: Annotated[str | None, typer.Option(help="Every token of this `sub` that was issued so far.")] = None,
    jti: Annotated[str | None, typer.Option("--id", help="The one token with this `jti`.")] = None,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Ends tokens before their time, with the sockets that they opened."""
    from gateway.cli.actions import logins

    if (sub is None) == (jti is None):
        raise ConfigError("Say which tokens: either --sub NAME or --id JTI.")
    run(logins.revoke(find_settings(data_dir=data_dir, embedded=embedded), sub, jti))


def _password() -> str:
    """From the prompt, or the first line of stdin; never an argument, which others can see."""
    if sys.stdin.isatty():
        text: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        text = sys.stdin.readline().rstrip("\r\n")
    if not text:
        raise ConfigError("The password is empty. Give it on stdin, or at the prompt.")
    return text
