"""What `gateway sync` does."""

from contextlib import AsyncExitStack

from rich.progress import Progress

from gateway.cli.actions.database import open_tables
from gateway.cli.actions.simulated import with_simulator
from gateway.cli.console import err, out
from gateway.postgres.sessions.audit_log import AuditLogTable
from gateway.postgres.sessions.credentials import CredentialTable
from gateway.postgres.sessions.sessions import SessionTable
from gateway.services.auth.account_token import AccountToken
from gateway.services.sessions.reconcile import Reconciler
from gateway.settings import Settings
from gateway.wasender.calls import BACKGROUND
from gateway.wasender.client import WasenderClient


async def sync(settings: Settings) -> None:
    """Reconciles all sessions with WasenderAPI and prints what changed. Raises ConfigError."""
    settings = with_simulator(settings)
    async with AsyncExitStack() as stack:
        pool, vault = await open_tables(settings, stack)
        token = AccountToken(settings.wasender_token, CredentialTable(pool, vault))
        upstream = await stack.enter_async_context(WasenderClient(settings.wasender_base_url, token))
        reconciler = Reconciler(
            upstream.with_retry_policy(BACKGROUND), SessionTable(pool, vault), log=AuditLogTable(pool).log
        )
        with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
            line = bar.add_task("Sessions", total=None)
            report = await reconciler.sync(
                progress=lambda done, total: bar.update(line, completed=done, total=total)
            )
    out.print(
        f"{report.total} sessions: {report.created} created, {report.updated} updated, "
        f"{report.gone} gone, {report.unchanged} unchanged."
    )
    for line_of_error in report.errors:
        err.print(line_of_error)
