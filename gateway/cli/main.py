"""The command line: `gateway serve`, `demo`, `migrate`, `sync`, `user`, `token`, `integrations`, `simulator`.

Every mistake of the operator ends in one sentence on stderr and exit code 2.
"""

import io
import sys
import warnings
from typing import Annotated

import typer

from gateway.cli import backup, export, journal, media, people, targets
from gateway.cli import manage as admin
from gateway.cli import serve as servers
from gateway.cli.console import err, out
from gateway.domain.errors import ConfigError, GatewayError

cli = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Realtime gateway between WasenderAPI, Postgres and browsers.",
)
cli.add_typer(servers.commands)
cli.add_typer(admin.commands)
cli.add_typer(people.commands)
cli.add_typer(export.commands)
cli.add_typer(backup.commands)
cli.add_typer(journal.journal, name="journal")
cli.add_typer(media.media, name="media")
cli.add_typer(targets.targets, name="targets")


def main() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no "…" is no reason to fail
    # Said once, in our own words, by `serve`.
    warnings.filterwarnings("ignore", message="The HMAC key is")
    try:
        cli(standalone_mode=False)
    except ConfigError as error:
        _fail(error.message, 2)
    except GatewayError as error:
        _fail(error.message, 1)
    except typer.Exit as error:
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Exception as error:
        show = getattr(error, "show", None)  # click's own usage errors know how to print themselves
        if show is None:
            raise
        show()
        sys.exit(2)


def _fail(sentence: str, code: int) -> None:
    err.print("Error:", style="bold red", end=" ")
    err.print(sentence)
    sys.exit(code)


@cli.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and its commit.")] = False,
) -> None:
    if version:
        from gateway.runtime.build import version_line

        out.print(version_line())
        raise typer.Exit
