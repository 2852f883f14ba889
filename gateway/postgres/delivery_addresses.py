"""Messages whose recipient is a LID, once the number behind it is known."""

from dataclasses import replace

from gateway.domain.message import MessageSent, jid_of_phone


def sent_to(item: MessageSent, phone: str | None) -> MessageSent:
    """The message with the number as its recipient; unchanged where the number is not known."""
    if phone is None:
        return item
    return replace(
        item, to_phone=phone, chat=jid_of_phone(phone) if item.chat == item.to_phone else item.chat
    )
