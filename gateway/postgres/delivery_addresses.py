"""Messages whose sender or recipient is a LID, once the number behind it is known."""

from dataclasses import replace

from gateway.domain.message import MessageReceived, MessageSent, jid_of_phone


def received_from(item: MessageReceived, phone: str | None) -> MessageReceived:
    if phone is None:
        return item
    chat = jid_of_phone(phone) if item.chat == item.from_phone else item.chat
    return replace(item, from_phone=phone, chat=chat, sender_lid=item.from_phone)


def sent_to(item: MessageSent, phone: str | None) -> MessageSent:
    if phone is None:
        return item
    return replace(
        item, to_phone=phone, chat=jid_of_phone(phone) if item.chat == item.to_phone else item.chat
    )
