"""The operations of `/api/webhook-targets`."""

from gateway.http.api import schemas
from gateway.http.api import target_schemas as targets
from gateway.http.api.operation import BODY, STORE, Operation, Reply

_ALL = "/api/webhook-targets"
_ONE = f"{_ALL}/{{target}}"

TARGETS = [
    Operation(
        "GET", _ALL, "Webhook targets", "list_webhook_targets", "Who is sent webhooks",
        (Reply(targets.TargetListReply, text="The oldest first, without secrets."),), "admin", errors=STORE,
    ),
    Operation(
        "POST", _ALL, "Webhook targets", "add_webhook_target", "Send webhooks to one more receiver",
        (Reply(targets.TargetReply, 201, "The new target, with its secret."),),
        "admin", "It is sent what happens from now on, signed as Standard Webhooks has it. Addresses inside are "
        "refused, but for GATEWAY_TARGET_NETWORKS.",
        body=targets.NewTargetFields, errors=(*BODY, *STORE),
    ),
    Operation(
        "PUT", _ONE, "Webhook targets", "change_webhook_target", "Change, pause or resume a target",
        (Reply(targets.TargetReply, text="The target as it is now; with its secret, if that is new."),),
        "admin", body=targets.TargetFields, is_body_needed=False, errors=(*BODY, "not_found", *STORE),
    ),
    Operation(
        "DELETE", _ONE, "Webhook targets", "delete_webhook_target", "Remove a target",
        (Reply(schemas.EmptyReply, text="Gone, with what waited for it."),),
        "admin", errors=("invalid", "not_found", *STORE),
    ),
    Operation(
        "GET", f"{_ONE}/deliveries", "Webhook targets", "list_webhook_deliveries", "What became of deliveries",
        (Reply(targets.DeliveryListReply, text="The newest first; those that were taken stay for a day."),),
        "admin", query=targets.DeliveryQuery, errors=("invalid", "not_found", *STORE),
    ),
    Operation(
        "POST", f"{_ONE}/test", "Webhook targets", "test_webhook_target", "Send a test to a target",
        (Reply(targets.TestedReply, text="What the receiver said; also while the target is paused."),),
        "admin", "One webhook that says nothing (`webhook.test`), made at once.",
        errors=("invalid", "not_found", *STORE),
    ),
    Operation(
        "POST", f"{_ONE}/redrive", "Webhook targets", "redrive_webhook_target", "Send dead letters again",
        (Reply(targets.RedrivenReply, text="How many; a paused target is resumed."),),
        "admin", body=targets.RedriveFields, is_body_needed=False, errors=(*BODY, "not_found", *STORE),
    ),
]  # fmt: skip
