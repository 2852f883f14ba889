"""The operations of `/api/admin`."""

from gateway.http.api import admin_schemas as admin
from gateway.http.api.operation import STORE, Operation, Reply

ADMIN = [
    Operation(
        "GET", "/api/admin/overview", "Health", "get_overview", "The cluster as a whole",
        (Reply(admin.OverviewReply, text="Gateways, numbers, queues, failures and open alerts."),),
        "admin", "For admins with all sessions.", errors=(*STORE,),
    ),
    Operation(
        "POST", "/api/admin/doctor", "Health", "run_doctor", "Run gateway doctor",
        (Reply(admin.FindingsReply, text="One finding for each check; it may take a minute."),),
        "admin", "For admins with all sessions; one at a time. It sends a test webhook through the public address.",
        errors=("conflict", *STORE),
    ),
]  # fmt: skip
