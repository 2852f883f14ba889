"""`gateway targets`: who else is sent webhooks, and what became of them."""

from typing import Annotated

import typer

from gateway.cli.console import DataDir, Embedded, find_settings, run

targets = typer.Typer(
    help="Webhooks out: targets, and what became of deliveries.",
    invoke_without_command=True,
    no_args_is_help=False,
)

MAX = 2**63 - 1
Number = Annotated[int, typer.Argument(min=1, max=MAX, help="Number of the target.")]
Sessions = Annotated[
    list[int] | None, typer.Option("--session", min=1, max=MAX, help="Sessions; default all.")
]
Events = Annotated[
    list[str] | None,
    typer.Option("--event", help="Names of events; default all. In mode raw WasenderAPI's names."),
]


@targets.callback()
def show_list(context: typer.Context, data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Lists the targets, where no other command is named."""
    if context.invoked_subcommand is not None:
        return
    from gateway.cli.actions import targets as actions

    run(actions.list_all(find_settings(data_dir=data_dir, embedded=embedded)))


@targets.command("list")
def list_targets(data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Lists the targets, with what waits for each."""
    from gateway.cli.actions import targets as actions

    run(actions.list_all(find_settings(data_dir=data_dir, embedded=embedded)))


@targets.command()
def add(
    url: Annotated[str, typer.Argument(help="Where webhooks go, by https.")],
    session: Sessions = None,
    event: Events = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Send what WasenderAPI sent, with its own header, key and secret.")
    ] = False,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Adds a target, which is sent what happens from now on; prints its secret, once."""
    from gateway.cli.actions import targets as actions

    fields = {
        "url": url,
        "sessions": session or "*",
        "events": event or "*",
        "mode": "raw" if raw else "standard",
    }
    run(actions.add(find_settings(data_dir=data_dir, embedded=embedded), fields))


@targets.command()
def remove(target: Number, data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Removes a target, with what waits for it."""
    from gateway.cli.actions import targets as actions

    run(actions.remove(find_settings(data_dir=data_dir, embedded=embedded), target))


@targets.command()
def pause(target: Number, data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Sends a target nothing more; what happens meanwhile waits for it."""
    from gateway.cli.actions import targets as actions

    run(actions.change(find_settings(data_dir=data_dir, embedded=embedded), target, {"paused": True}))


@targets.command()
def resume(target: Number, data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Goes on with a target that was paused."""
    from gateway.cli.actions import targets as actions

    run(actions.change(find_settings(data_dir=data_dir, embedded=embedded), target, {"paused": False}))


@targets.command("rotate-secret")
def rotate_secret(target: Number, data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Makes a new secret and prints it, once; the former one signs too for 24 hours."""
    from gateway.cli.actions import targets as actions

    run(actions.change(find_settings(data_dir=data_dir, embedded=embedded), target, {"rotate_secret": True}))


@targets.command("test")
def send_test(target: Number, data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Sends one webhook that says nothing, at once, and prints the answer; exit code 1 if it is not taken."""
    from gateway.cli.actions import targets as actions

    run(actions.test(find_settings(data_dir=data_dir, embedded=embedded), target))


@targets.command()
def deliveries(
    target: Number,
    state: Annotated[str, typer.Option(help="pending, delivered, dead, or all.")] = "all",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Lists deliveries, the newest first: --state dead are the ones that were given up."""
    from gateway.cli.actions import targets as actions

    run(actions.deliveries(find_settings(data_dir=data_dir, embedded=embedded), target, state, limit))


@targets.command()
def redrive(
    target: Number,
    delivery: Annotated[
        list[int] | None, typer.Argument(min=1, max=MAX, help="Dead letters; default all.")
    ] = None,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Sends dead letters again, and resumes the target."""
    from gateway.cli.actions import targets as actions

    run(actions.redrive(find_settings(data_dir=data_dir, embedded=embedded), target, delivery or None))
