"""What may be the matter with the triggers that tell of changes, in words."""

from collections.abc import Sequence
from dataclasses import dataclass

REPAIR = "run `gateway migrate`"


@dataclass(frozen=True, slots=True)
class TriggerFault:
    """One trigger or column that is not as the migrations have left it."""

    table: str
    """With its schema."""
    name: str
    """Of the trigger, or of the column."""
    fault: str
    """missing, disabled, not_always, column_missing or table_missing."""


_SAYS = {
    "missing": "the table {table} has lost the trigger {name}",
    "disabled": "the trigger {name} on {table} is disabled",
    "not_always": "the trigger {name} on {table} no longer fires for replicas (ENABLE TRIGGER ALL turns that off)",
    "column_missing": "the table {table} has lost the column {name}",
    "table_missing": "the table {table} is gone",
}


def explain_faults(faults: Sequence[TriggerFault]) -> str | None:
    """One sentence with what to do; None if nothing is wrong."""
    if not faults:
        return None
    first = faults[0]
    says = _SAYS.get(first.fault, "{name} on {table} is not as it should be").format(
        table=first.table, name=first.name
    )
    more = f", and {len(faults) - 1} more are not as they should be" if len(faults) > 1 else ""
    sentence = f"{says}{more}: changes there are not told to browsers; {REPAIR}."
    return sentence[0].upper() + sentence[1:]
