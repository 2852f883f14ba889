"""Comments, questions, statuses, answers of bots, and requests between people."""

from typing import Any

from gateway.wasender.texts.lines import joined, joined_all
from gateway.wasender.values import objects, text_at, under

_MAX_PARTS = 200


def said(part: Any) -> str | None:
    """The one text of a question's answer, a comment on a status and the like."""
    return text_at(part, "text", "caption")


def bot_answer(part: Any) -> str | None:
    """The pieces of an answer by Meta's assistant, code and tables included."""
    return joined_all(map(_piece, objects(under(part, "submessages"))[:_MAX_PARTS]))


def _piece(piece: dict[str, Any]) -> str | None:
    code = objects(under(piece, "codeMetadata.codeBlocks"))[:_MAX_PARTS]
    rows = objects(under(piece, "tableMetadata.rows"))[:_MAX_PARTS]
    cells = [row.get("items") for row in rows]
    return joined(
        text_at(piece, "messageText", "latexMetadata.text", "contentItemsMetadata.text"),
        *(text_at(block, "codeContent") for block in code),
        *(
            " | ".join(item for item in row[:_MAX_PARTS] if isinstance(item, str))
            if isinstance(row, list)
            else None
            for row in cells
        ),
    )


def link(part: Any) -> str | None:
    """The text; of a link without one, what its preview shows."""
    if isinstance(part, str):
        return part
    return text_at(part, "text") or joined(
        text_at(part, "title"), text_at(part, "description"), text_at(part, "matchedText", "canonicalUrl")
    )
