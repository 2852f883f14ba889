"""Operations on conversations, and the search through them."""

from gateway.http.api import inbox_schemas as inbox
from gateway.http.api.operation import ABOUT_ONE, BODY, CHAT, STORE, Operation, Reply

INBOX = [
    Operation(
        "GET", "/api/conversations", "Inbox", "list_conversations", "Conversations, newest first",
        (Reply(inbox.ConversationListReply, text="One page, and the positions of its inboxes."),),
        "viewer", "`mine` and `free` leave out what is done, and so does `unreplied`.",
        query=inbox.ConversationQuery, errors=("invalid", *STORE),
    ),
    Operation(
        "GET", CHAT, "Inbox", "get_conversation", "One conversation",
        (Reply(inbox.ConversationReply, text="The conversation, under whichever address it was asked for."),),
        "viewer", query=inbox.ChatQuery, errors=("not_found", "invalid", *STORE),
    ),
    Operation(
        "PUT", CHAT, "Inbox", "mark_conversation", "Take, end, rename or block a conversation",
        (Reply(inbox.ConversationReply, text="The conversation as it is now."),),
        "agent", "An owner is set only where the conversation is free or one's own; otherwise 409 names who has it. "
        "An admin overrides. Every change stands in the session's log, and browsers are told.",
        query=inbox.ChatQuery, body=inbox.MarkFields,
        errors=(*BODY, "not_found", "conflict", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "GET", f"{CHAT}/export", "Inbox", "export_conversation", "A conversation as a file",
        (
            Reply(media="application/x-ndjson", text="The messages as REST shows them, one a line."),
            Reply(media="text/csv"),
            Reply(media="application/zip"),
        ),
        "admin", "Streamed, however long it is. No cell of the CSV begins like a formula. It stands in the log.",
        query=inbox.ExportQuery, errors=("not_found", "invalid", *STORE),
    ),
    Operation(
        "DELETE", CHAT, "Inbox", "erase_conversation", "Erase a person",
        (Reply(inbox.ErasedReply, text="How many messages went."),),
        "admin", "For good: messages, files, contact, marks, bodies of webhooks; events keep their offset and say a "
        "deletion with the id alone. Queued messages are cancelled first; 409 while one is being sent. What was "
        "received before and still waits in a spool is dropped. The session's log has it, with HMACs of addresses.",
        query=inbox.EraseQuery, errors=("not_found", "conflict", "invalid", *STORE),
    ),
    Operation(
        "GET", f"{CHAT}/messages", "Inbox", "list_messages", "Messages of one chat",
        (Reply(inbox.ThreadReply, text="Incoming and outgoing in one order."),),
        "viewer", "The newest ones, or those before, after or around a message.",
        query=inbox.ThreadQuery, errors=("not_found", "invalid", *STORE),
    ),
    Operation(
        "POST", f"{CHAT}/read", "Inbox", "mark_conversation_read", "Mark a chat as read",
        (Reply(inbox.MarkedReply, text="How many messages were unread."),),
        "agent", "Other browsers are told, one event for each message. The customer sees no blue ticks.",
        query=inbox.ChatQuery, body=inbox.ReadFields, is_body_needed=False,
        errors=(*BODY, "not_found", "conflict", *STORE),
    ),
    Operation(
        "GET", "/api/search", "Inbox", "search", "Search conversations and messages",
        (Reply(inbox.SearchReply, text="Conversations by name and number, messages by text."),),
        "viewer", "`GET …/messages?around=` with the `ref` of a hit opens the thread around it.",
        query=inbox.SearchQuery, errors=("invalid", *STORE),
    ),
]  # fmt: skip
