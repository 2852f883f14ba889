"""The models of `/api/journal`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from gateway.http.api.schemas import Body, Cursor, Limit, SessionWish, Success, Time
from gateway.http.responses import DEFAULT_LIMIT
from gateway.services.webhooks.journal import OUTCOMES, TROUBLE, parse_outcomes

OutcomeWord = Literal["stored", "duplicate", "ignored", "unknown", "refused", "failed"]
_WORDS = "(stored|duplicate|ignored|unknown|refused|failed)"
_AGAIN = "(ignored|unknown|refused|failed)"


def _outcomes(value: object) -> object:
    words = ",".join(word.strip() for word in value.split(",")) if isinstance(value, str) else ""
    if parse_outcomes(words) is None:
        raise ValueError(
            f"`outcome` must be one or several of {', '.join(OUTCOMES)}, with commas between them."
        )
    return words


def _outcomes_to_retry(value: object) -> object:
    words = str(_outcomes(value))
    if not set(words.split(",")) <= {*TROUBLE, "ignored", "refused"}:
        raise ValueError("`outcome` must be failed, unknown, refused or ignored: the others are settled.")
    return words


Outcomes = Annotated[
    str,
    Field(pattern=f"^({_WORDS}(,{_WORDS})*)?$", examples=["failed,unknown"]),
    BeforeValidator(_outcomes),
]
OutcomesToRetry = Annotated[
    str, Field(pattern=f"^({_AGAIN}(,{_AGAIN})*)?$"), BeforeValidator(_outcomes_to_retry)
]


class JournalQuery(Body):
    outcome: Outcomes | None = Field(None, description="Only these outcomes, with commas between them.")
    session: SessionWish | None = Field(None, description="Only webhooks of this session.")
    limit: Limit = DEFAULT_LIMIT
    cursor: str = Field("", description="`next_cursor` of the page before.")


class RetryQuery(JournalQuery):
    outcome: OutcomesToRetry = Field("failed", description="Which outcomes to process again.")


class JournalRow(BaseModel):
    """What became of one webhook."""

    id: int = Field(examples=[4711])
    received_at: Time
    session_id: int | None = Field(examples=[12])
    event: str | None = Field(examples=["messages.received"])
    outcome: OutcomeWord = Field(
        description="`stored`; `duplicate`: it was there already; `ignored`: known, and nothing to keep; `unknown`: "
        "an event or shape we do not know; `refused`: only a message's author may edit or delete it; "
        "`failed`: the database refuses it."
    )
    reason: str | None = Field(examples=["Postgres refuses this row."])
    note: str | None = Field(
        description="What had become of it before it was processed again.", examples=[None]
    )
    retries: int = Field(examples=[0])
    retried_at: Time | None
    retried_by: str | None = Field(examples=[None])
    has_body: bool = Field(description="Only then it can be processed again.", examples=[True])


class JournalEntry(JournalRow):
    body: Any = Field(
        description="The webhook, without keys and secrets. Not kept where all of it became rows.",
        examples=[{"event": "messages.received", "sessionId": "12", "data": {}}],
    )


class JournalListReply(Success[list[JournalRow]]):
    next_cursor: Cursor | None = Field(description="Null on the last page.")


class JournalReply(Success[JournalEntry]):
    pass


class Retried(BaseModel):
    processed: int = Field(examples=[3])
    outcomes: dict[str, int] = Field(
        description="How many by outcome.", examples=[{"stored": 2, "failed": 1}]
    )


class RetriedReply(Success[Retried]):
    next_cursor: Cursor | None = Field(description="Where to go on; null when all were looked at.")
