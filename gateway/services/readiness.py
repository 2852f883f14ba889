"""Can webhooks be made safe now, by commit or by spool? The answer of `/readyz`."""

from typing import Any

AWAY = "Postgres does not take anything at the moment."


def readiness(
    *, is_draining: bool, can_commit: bool, spooled: int, complaint: str | None, untold: str | None = None
) -> tuple[bool, dict[str, Any]]:
    """Whether to send webhooks here, and what to say.

    `complaint` is why the spool would take nothing, `untold` why changes of the tables are not told to browsers.
    """
    if is_draining:
        return False, {"status": "draining"}
    if not can_commit and complaint:
        return False, {"status": "unavailable", "why": f"{AWAY} {complaint}", "spooled": spooled}
    if not can_commit:
        return True, {
            "status": "degraded",
            "why": f"{AWAY} Webhooks are kept on the gateway's disk until it does.",
            "spooled": spooled,
        }
    if complaint:
        why = f"{complaint} While that is so, an outage of Postgres would send webhooks back."
        return True, {"status": "degraded", "why": why, "spooled": spooled}
    if spooled:
        why = "Webhooks that were kept on the gateway's disk are on their way to Postgres."
        return True, {"status": "degraded", "why": why, "spooled": spooled}
    if untold:
        return True, {"status": "degraded", "why": untold}
    return True, {"status": "ready"}
