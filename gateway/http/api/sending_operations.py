"""The operations of messages on their way out."""

from gateway.http.api import sending_schemas as sends
from gateway.http.api.operation import ABOUT_ONE, BODY, CHAT, STORE, Operation, Reply

ROW = f"{CHAT}/messages/{{row}}"
OLD = "/api/messages/{number}"
SENDING = [
    Operation(
        "POST", f"{CHAT}/messages", "Sending", "send_message", "Answer a customer",
        (
            Reply(sends.SentReply, 202, "Queued; `queue_position` and `send_after` say when it may go."),
            Reply(sends.SentReply, text="The same request came before: the row as it is now."),
        ),
        "agent", "The chat may be a number that has never written, in any form its country knows. 409 `newer_reply`: "
        "another person has answered behind `seen`; `details.messages` holds that. 409 `conflict`: the `client_id` was "
        "used for another message.",
        query=sends.SendQuery, headers=sends.SendHeaders, body=sends.NewMessage,
        errors=(*BODY, "not_found", "conflict", "newer_reply", *STORE),
    ),
    Operation(
        "PUT", ROW, "Sending", "edit_message", "Change the text of an own message",
        (Reply(sends.SentReply, text="The row as it is now."),),
        "agent", "While it is queued the row is changed; once it is sent, the message for everyone.",
        query=sends.SendQuery, body=sends.EditFields, errors=(*BODY, "not_found", "conflict", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "DELETE", ROW, "Sending", "delete_message", "Cancel a queued message, or delete a sent one for everyone",
        (Reply(sends.SentReply, text="The row as it is now; it stays listed."),),
        "agent", query=sends.SendQuery, errors=("not_found", "conflict", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "POST", f"{ROW}/retry", "Sending", "retry_message", "Send a failed message again",
        (Reply(sends.SentReply, text="The row, queued."),),
        "agent", query=sends.SendQuery, errors=("not_found", "conflict", "invalid", *STORE),
    ),
    Operation(
        "POST", f"{ROW}/settle", "Sending", "settle_message", "Say whether an unknown message was sent",
        (Reply(sends.SentReply, text="The row, sent or failed."),),
        "agent", "409 until two minutes after the call: until then WasenderAPI may still tell.",
        query=sends.SendQuery, body=sends.SettleFields, errors=(*BODY, "not_found", "conflict", *STORE),
    ),
    Operation(
        "POST", f"{CHAT}/typing", "Sending", "show_typing", "Show the customer that the shop types",
        (Reply(sends.TypingReply, text="Whether WasenderAPI was asked."),),
        "agent", "At most once per 10 s.",
        query=sends.SendQuery, body=sends.TypingFields, is_body_needed=False,
        errors=(*BODY, "not_found", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "POST", f"{CHAT}/on-whatsapp", "Sending", "check_number", "Does a number have WhatsApp",
        (Reply(sends.NumberReply, text="What WasenderAPI said, up to 30 days ago."),),
        "agent", "Only when a person wants to know: WhatsApp bans numbers that ask much.",
        query=sends.SendQuery, errors=("not_found", "invalid", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "POST", "/api/send-message", "Sending", "send_as_wasender", "Send a message, as WasenderAPI takes it",
        (Reply(sends.TakenReply, text="Queued; `msgId` is the gateway's."),),
        "agent", "For clients of WasenderAPI: the token names exactly one session. Once per call, and once per "
        "`Idempotency-Key` where one is sent.",
        headers=sends.SendHeaders, body=sends.OldMessage, needs_one_session=True,
        errors=(*BODY, "not_found", "conflict", *STORE),
    ),
    Operation(
        "PUT", OLD, "Sending", "edit_as_wasender", "Edit a message, as WasenderAPI takes it",
        (Reply(sends.OldInfoReply, text="The message."),),
        "agent", body=sends.EditFields, needs_one_session=True,
        errors=(*BODY, "not_found", "conflict", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "DELETE", OLD, "Sending", "delete_as_wasender", "Delete a message, as WasenderAPI takes it",
        (Reply(sends.OldDeletedReply, text="Cancelled, or deleted for everyone."),),
        "agent", needs_one_session=True, errors=("not_found", "conflict", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "GET", f"{OLD}/info", "Sending", "get_info_as_wasender", "What became of a message, as WasenderAPI tells it",
        (Reply(sends.OldInfoReply, text="The message."),),
        "viewer", needs_one_session=True, errors=("not_found", *STORE),
    ),
]  # fmt: skip
