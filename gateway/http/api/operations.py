"""Every operation of the REST API in one table: who may call it, what goes in, what comes out, what can go wrong.

The document at /openapi.json is generated from this table. A test compares it with the routes of the running
application, so neither can have what the other has not.
"""

from gateway.http.api import account_schemas as account
from gateway.http.api import journal_schemas as journal
from gateway.http.api import media_schemas as media
from gateway.http.api import schemas
from gateway.http.api import session_schemas as sessions
from gateway.http.api.admin_operations import ADMIN
from gateway.http.api.inbox_operations import INBOX
from gateway.http.api.operation import (
    ABOUT_ONE,
    BODY,
    HOOK,
    HTML,
    LIST,
    ONE,
    STORE,
    UPSTREAM,
    Operation,
    Reply,
    Tag,
)
from gateway.http.api.sending_operations import SENDING
from gateway.http.api.target_operations import TARGETS
from gateway.http.api.template_operations import TEMPLATES

TAGS: dict[Tag, str] = {
    "Sessions": "WhatsApp numbers linked through WasenderAPI. Lists come from Postgres; changes are made at "
    "WasenderAPI first and stored here afterwards.",
    "Linking": "From `connect` to a linked phone. Codes and statuses are pushed over `/ws`, topic `session:<id>`; "
    "what stands here is for clients that cannot listen.",
    "Inbox": "Conversations and messages. A `position` in a reply is where to subscribe from over `/ws`, topic "
    "`inbox:<id>`, so that nothing is missed and nothing comes twice.",
    "Sending": "Answers to customers. A message is a row before it is handed to WasenderAPI, once; its `status` says "
    "how far it has come: queued, sending, accepted, sent, delivered, read, played, or failed, unknown, cancelled. "
    "What moves it is told over `/ws`, and how the queue stands as part `sending` of `session:<id>`.",
    "Files": "The files of messages. A message is told at once, with its file `pending`; a `message.updated` says when "
    "it is stored, or lost and why.",
    "Logins and tickets": "A browser logs in with a one-time link and gets a cookie. A ticket is one-time, lives "
    "30 seconds, and stands for a login where no header can be sent.",
    "People": "Who logs in on the page by name and password. An admin manages people of his own sessions and roles; "
    "everybody sees and ends his own logins. What ends or changes a login holds within two seconds, everywhere.",
    "Webhooks": "For WasenderAPI. Answered 200 only once the webhook is safe.",
    "Webhook targets": "Who else is sent what happens here: signed as Standard Webhooks has it, in the order of each "
    "chat, tried again for a day, with the same `webhook-id` each time. A receiver that answers 401 is paused.",
    "Journal": "What became of each webhook, kept for 30 days. Those that failed, or that this version does not know, "
    "can be processed again.",
    "Health": "For load balancers and monitoring.",
}

_SESSIONS = [
    Operation(
        "GET", LIST, "Sessions", "list_sessions", "All sessions",
        (Reply(sessions.SessionListReply, text="One page of sessions."),),
        "viewer", "Read from Postgres, so it works while WasenderAPI is away. `refresh=1` reconciles first, for an "
        "admin of all sessions with a Bearer token; a browser is answered as if it were not there.",
        query=sessions.SessionListQuery, errors=(*UPSTREAM, *STORE), aliases=(f"{LIST}/list.php",),
    ),
    Operation(
        "POST", LIST, "Sessions", "create_session", "Create a session",
        (Reply(sessions.SessionReply, 201, "The new session."),),
        "admin", "The webhook is set up with it. Connect it next.",
        body=sessions.NewSession, errors=(*BODY, *ABOUT_ONE, *STORE),
    ),
    Operation(
        "GET", ONE, "Sessions", "get_session", "One session",
        (Reply(sessions.SessionReply, text="The session."),),
        "viewer", "`reveal=secrets` shows the API key and the webhook secret to an admin, and is logged. A session "
        "that is not known here is looked up at WasenderAPI, for a viewer with `refresh=1` only.",
        query=sessions.SessionDetailQuery, errors=("not_found", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "POST", f"{ONE}/refresh", "Sessions", "refresh_session", "Ask WasenderAPI how a session is",
        (Reply(sessions.SessionReply, text="The session as it is now."),),
        "viewer", "What `refresh=1` is for a Bearer token.", errors=("not_found", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "PUT", ONE, "Sessions", "update_session", "Change settings",
        (Reply(sessions.SessionUpdateReply, text="The session as it is now."),),
        "admin", "Only the fields that are sent change.",
        body=sessions.SessionFields, errors=(*BODY, "not_found", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "DELETE", ONE, "Sessions", "delete_session", "Delete a session",
        (Reply(schemas.EmptyReply, text="It is gone, here and there."),),
        "admin", "Its log goes with it; its messages stay.",
        errors=("not_found", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "GET", f"{ONE}/logs", "Sessions", "list_session_logs", "What happened to a session",
        (Reply(sessions.LogReply, text="Newest first."), Reply(media="text/csv")),
        "viewer", query=sessions.LogQuery, errors=("not_found", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "POST", f"{LIST}/sync", "Sessions", "sync_sessions", "Reconcile all sessions with WasenderAPI",
        (Reply(sessions.SyncReply, text="What changed."),),
        "admin", errors=(*UPSTREAM, *STORE), aliases=(f"{LIST}/sync.php",),
    ),
    Operation(
        "POST", f"{ONE}/regenerate-key", "Sessions", "regenerate_key", "Make a new API key",
        (Reply(sessions.KeyReply, text="The old key no longer works."),),
        "admin", errors=("not_found", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "POST", f"{ONE}/repair-webhook", "Sessions", "repair_webhook", "Bring a session's webhooks back here",
        (Reply(sessions.SessionReply, text="The session, with its `webhook_state`."),),
        "admin", "When another tool took the webhook address, or it lacks events or a secret.",
        errors=("not_found", *ABOUT_ONE, *STORE),
    ),
]  # fmt: skip

_LINKING = [
    Operation(
        "POST", f"{ONE}/connect", "Linking", "connect_session", "Start linking",
        (Reply(sessions.ConnectReply, text="Where linking stands now; answered at once."),),
        "agent", "May be called any number of times: there is one attempt, shared by everybody.",
        errors=("not_found", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "GET", f"{ONE}/qr-code", "Linking", "get_qr_code", "The code to scan now",
        (
            Reply(sessions.CodeReply, text="The code, or nulls while none has come."),
            Reply(media="image/svg+xml"),
            Reply(media="image/png"),
            Reply(media="text/plain"),
        ),
        "agent", "Never cached. Not for viewers: who can see the code can link a phone.",
        query=sessions.CodeQuery, errors=("not_linking", "invalid", *STORE), aliases=(f"{ONE}/qrcode",),
    ),
    Operation(
        "GET", f"{ONE}/status", "Linking", "get_session_status", "Status, and how sure it is",
        (Reply(sessions.StatusReply, text="The status, with the time and the source of the last check."),),
        "viewer", query=sessions.SessionQuery, errors=("not_found", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "POST", f"{ONE}/disconnect", "Linking", "disconnect_session", "Unlink the phone",
        (Reply(sessions.StatusWordReply, text="The status now."),),
        "admin", "Works in any state; a running attempt ends.",
        errors=("not_found", *ABOUT_ONE, *STORE),
    ),
    Operation(
        "POST", f"{ONE}/restart", "Linking", "restart_session", "Restart a session",
        (Reply(sessions.StatusWordReply, text="The status now."),),
        "admin", "A session that is not connected is disconnected and connected anew.",
        errors=("not_found", *ABOUT_ONE, *STORE),
    ),
]  # fmt: skip
_FILES = [
    Operation(
        "GET", "/api/media/{media}", "Files", "get_media", "The file of a message",
        (
            Reply(media="application/octet-stream", text="The file."),
            Reply(media="application/octet-stream", status=206, text="A part of it."),
            Reply(media="text/plain", status=304, text="The client has it."),
            Reply(media="text/plain", status=416, text="It has no such part."),
        ),
        "viewer", "What a browser shows safely has its own type; everything else is saved under its name. 409 while it "
        "is being fetched; 404 with the reason when it is lost.",
        query=media.MediaQuery, headers=media.MediaHeaders, errors=("not_found", "conflict", "invalid", *STORE),
    ),
    Operation(
        "POST", "/api/media", "Files", "upload_media", "Upload a file to send",
        (Reply(media.UploadReply, 201, "The upload, to be named in a message within 24 hours."),),
        "agent", "The body is the file. Its kind is found from its bytes; a Content-Type that says another is refused. "
        "At most 16 MiB for an image or audio, 50 for a video, 5 for a sticker, 100 for a document. A voice note that "
        "a browser has recorded becomes Ogg.",
        query=media.UploadQuery, takes_file=True, errors=(*BODY, "not_found", *STORE),
    ),
    Operation(
        "POST", "/api/upload", "Files", "upload_as_wasenderapi", "Upload a file, as WasenderAPI has it",
        (Reply(media.PublicUrlReply, text="Where the file is, for 24 hours."),),
        "agent", "For clients of WasenderAPI, with a token that names one session: the file as the body, or "
        "`{base64, mimetype}`.",
        takes_file=True, needs_one_session=True, errors=(*BODY, "not_found", *STORE),
    ),
    Operation(
        "POST", "/api/decrypt-media", "Files", "decrypt_as_wasenderapi", "Decrypt a file, as WasenderAPI has it",
        (Reply(media.PublicUrlReply, text="Where the file is, for an hour."),),
        "viewer", "For clients of WasenderAPI, with a token that names one session: a file that is here already is not "
        "fetched again.",
        body=media.DecryptRequest, needs_one_session=True, errors=(*BODY, "not_found", *STORE, "upstream_error"),
    ),
    Operation(
        "POST", "/api/media/links", "Files", "make_media_links", "Addresses of files for pages without a cookie",
        (Reply(media.LinksReply, text="A path for each file, good for ten minutes."),),
        "viewer", "Each opens one file, and ends with the login that asked.",
        body=media.MediaIds, errors=(*BODY, "not_found", *STORE),
    ),
]  # fmt: skip

_LOGINS = [
    Operation(
        "GET", "/api/me", "Logins and tickets", "get_me", "Who is logged in",
        (Reply(schemas.MeReply, text="You."),), "viewer",
    ),
    Operation(
        "GET", "/login", "Logins and tickets", "show_login", "The page to log in on",
        (Reply(media=HTML, text="A form, or the button of a link. Looking at it does not use the ticket."),),
    ),
    Operation(
        "POST", "/login", "Logins and tickets", "log_in", "Log in by password or link",
        (
            Reply(account.LoginReply, text="Logged in; the cookie is set."),
            Reply(status=303, text="For browsers (`Accept: text/html`): on to the page, or back to the link."),
        ),
        notes="From the gateway's own page, or from no page at all. Five failures a minute of a name from one address, "
        "and twenty of an address, are answered 429.",
        query=account.LoginQuery, body=account.LoginFields, is_body_needed=False,
        errors=("unauthenticated", "forbidden", "rate_limited", *BODY, *STORE),
    ),
    Operation(
        "POST", "/logout", "Logins and tickets", "log_out", "Log out",
        (Reply(schemas.EmptyReply, text="The cookie is gone."),), "viewer",
    ),
    Operation(
        "POST", "/api/tickets", "Logins and tickets", "make_ticket", "A one-time ticket",
        (Reply(schemas.TicketReply, text="Use it within 30 seconds, once."),),
        "viewer", "`ws`: open `/ws?ticket=…`. `embed`: hand it to a page of yours, which redeems it.",
        body=schemas.TicketWish, is_body_needed=False, errors=(*BODY, *STORE),
    ),
    Operation(
        "POST", "/api/tickets/redeem", "Logins and tickets", "redeem_ticket", "Turn a ticket into a token",
        (Reply(schemas.TokenReply, text="A token for an hour."),),
        body=schemas.TicketToRedeem, errors=("unauthenticated", *BODY, *STORE),
    ),
]  # fmt: skip

PEOPLE, PERSON, ACCOUNT = "/api/people", "/api/people/{person}", "/api/account"
_PEOPLE = [
    Operation(
        "GET", PEOPLE, "People", "list_people", "People whom you may manage",
        (Reply(account.PeopleReply, text="By name."),), "admin", errors=STORE,
    ),
    Operation(
        "POST", PEOPLE, "People", "add_person", "Let somebody in",
        (Reply(account.PersonReply, 201, "The new person."),),
        "admin", body=account.NewPerson, errors=(*BODY, "conflict", *STORE),
    ),
    Operation(
        "PUT", PERSON, "People", "change_person", "Change or disable a person",
        (Reply(account.PersonReply, text="The person as it is now."),),
        "admin", body=account.PersonFields, errors=(*BODY, "not_found", "conflict", *STORE),
    ),
    Operation(
        "DELETE", PERSON, "People", "delete_person", "Remove a person",
        (Reply(schemas.EmptyReply, text="Gone, and logged out everywhere."),),
        "admin", errors=("invalid", "not_found", "conflict", *STORE),
    ),
    Operation(
        "POST", f"{PERSON}/login-link", "People", "make_login_link", "A link that lets a person in once",
        (Reply(account.LoginLinkReply, 201, "Good for an hour, and for one browser."),),
        "admin", errors=("invalid", "not_found", "conflict", *STORE),
    ),
    Operation(
        "GET", f"{ACCOUNT}/logins", "People", "list_logins", "Where you are logged in",
        (Reply(account.LoginListReply, text="The newest first."),), "viewer", errors=STORE,
    ),
    Operation(
        "DELETE", f"{ACCOUNT}/logins", "People", "end_other_logins", "Log out everywhere else",
        (Reply(account.EndedReply, text="The login that asks stays."),), "viewer", errors=STORE,
    ),
    Operation(
        "DELETE", f"{ACCOUNT}/logins/{{login}}", "People", "end_login", "Log out one browser",
        (Reply(schemas.EmptyReply, text="It is logged out."),), "viewer", errors=("not_found", *STORE),
    ),
    Operation(
        "POST", f"{ACCOUNT}/password", "People", "change_password", "A new password for yourself",
        (Reply(schemas.EmptyReply, text="It holds; you are logged out everywhere else."),),
        "viewer", body=account.PasswordFields, errors=(*BODY, "rate_limited", *STORE),
    ),
]  # fmt: skip

_WEBHOOK_NOTES = (
    "The session is found by the id in the path, else by `sessionId` in the body, else by the secret. Unknown events "
    "are kept and answered 200. 400 means: not JSON. 401: the secret is wrong. 503: send it again."
)
_WEBHOOKS = [
    Operation(
        "POST", HOOK, "Webhooks", "receive_webhook", "WasenderAPI reports something",
        (Reply(schemas.Received, text="It is safe."), Reply(schemas.ErrorReply, 400, "Not a JSON object.")),
        notes=_WEBHOOK_NOTES, headers=schemas.WebhookHeaders, body=schemas.Webhook,
        errors=("unauthenticated", "too_large", *STORE), aliases=(f"{HOOK}.php",),
    ),
    Operation(
        "POST", f"{HOOK}/{{id}}", "Webhooks", "receive_webhook_of", "WasenderAPI reports something of one session",
        (Reply(schemas.Received, text="It is safe."), Reply(schemas.ErrorReply, 400, "Not a JSON object.")),
        notes=_WEBHOOK_NOTES, headers=schemas.WebhookHeaders, body=schemas.Webhook,
        errors=("unauthenticated", "invalid", "too_large", *STORE),
    ),
]  # fmt: skip

_JOURNAL = [
    Operation(
        "GET", "/api/journal", "Journal", "list_journal", "What became of webhooks",
        (Reply(journal.JournalListReply, text="Newest first, without bodies."),),
        "admin", query=journal.JournalQuery, errors=("invalid", *STORE),
    ),
    Operation(
        "GET", "/api/journal/{entry}", "Journal", "get_journal_entry", "One webhook, with its body",
        (Reply(journal.JournalReply, text="The entry."),),
        "admin", errors=("not_found", "invalid", *STORE),
    ),
    Operation(
        "POST", "/api/journal/{entry}/retry", "Journal", "retry_journal_entry", "Process a webhook again",
        (Reply(journal.JournalReply, text="The entry as it is now; `outcome` says how it went."),),
        "admin", "May be called any number of times: what is stored is left alone. Who did it is in the session's log.",
        errors=("not_found", "conflict", "invalid", *STORE),
    ),
    Operation(
        "POST", "/api/journal/retry", "Journal", "retry_journal", "Process all that failed again",
        (Reply(journal.RetriedReply, text="How many, by outcome."),),
        "admin", "One page of entries, the oldest of them first; go on with `next_cursor`.",
        query=journal.RetryQuery, errors=("invalid", *STORE),
    ),
]  # fmt: skip

_HEALTH = [
    Operation(
        "GET", "/healthz", "Health", "is_alive", "Is it running",
        (Reply(schemas.Alive, text="Yes."),),
    ),
    Operation(
        "GET", "/readyz", "Health", "is_ready", "Can it take webhooks",
        (Reply(schemas.Ready, text="Yes."), Reply(schemas.Ready, 503, "No: send webhooks elsewhere, or later.")),
        notes="200 while a webhook can be made safe. `degraded` says that something else does not work, and `why`.",
    ),
    Operation(
        "GET", "/metrics", "Health", "get_metrics", "Counters",
        (Reply(media="text/plain", text="In the text format of Prometheus."),),
        notes="For requests from this machine, and for those that bring GATEWAY_METRICS_TOKEN as their Bearer.",
        errors=("unauthenticated",),
    ),
]  # fmt: skip

OPERATIONS: tuple[Operation, ...] = (
    *_SESSIONS,
    *_LINKING,
    *INBOX,
    *SENDING,
    *_FILES,
    *_LOGINS,
    *_PEOPLE,
    *_WEBHOOKS,
    *TEMPLATES,
    *TARGETS,
    *_JOURNAL,
    *_HEALTH,
    *ADMIN,
)
