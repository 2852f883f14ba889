/**
 * Every sentence of the page, by language. A text may depend on a number: then it has the forms of the language's
 * plural rules (`one`, `other`, …), chosen by the parameter `n`.
 */

const en = {
  "app.title": "Inbox",
  "app.logout": "Log out",
  "app.skip": "Skip to the conversation",
  "app.simulator": "Open the simulated phone",
  "app.simulator.hint": "This is a demo: a simulated phone plays your customers and scans the codes.",
  "app.version": "The gateway was updated. Reload the page when it suits you.",
  "app.reload": "Reload",
  "role.viewer": "can read",
  "role.agent": "can reply",
  "role.admin": "administrator",

  "login.title": "You are not logged in",
  "login.over": "Your login has ended",
  "login.how":
    "No name and password? Ask the person who runs the gateway for a login link. It works once, so open it in this browser.",
  "login.name": "Name",
  "login.password": "Password",
  "login.submit": "Log in",
  "login.ready": "Your link is ready. Press the button to log in.",
  "login.button": "Open the inbox",
  "login.refused": "This link has been used already or is too old. Ask for a new one.",
  "login.retry": "Log in",

  "connection.online": "Live",
  "connection.connecting": "Connecting…",
  "connection.reconnecting": "Reconnecting…",
  "connection.offline": "Offline: you may be missing messages",
  "connection.stale": "Connected, but news may be late: the gateway cannot hear its database",
  "connection.retry": "Try now",
  "connection.forbidden": "This login may not open a live connection.",
  "connection.too_many": "Too many pages are open with this login. Close some, then try again.",

  "error.network": "The gateway cannot be reached. Check your network.",
  "error.answer": "The gateway gave an answer this page does not understand ({status}).",
  "error.dismiss": "Dismiss",
  "action.retry": "Try again",
  "action.check_token": "The account token needs a look by the administrator.",
  "action.show_limit": "See your plan at WasenderAPI.",
  "action.refresh_sessions": "Reload sessions",
  "action.fix_input": "Correct the fields and try again.",

  "status.disconnected": "Disconnected",
  "status.new": "Not linked",
  "status.connecting": "Connecting…",
  "status.need_scan": "Scan QR code",
  "status.need_passkey": "One more step on the phone",
  "status.connected": "Connected",
  "status.logged_out": "Unlinked on the phone",
  "status.expired": "Link expired",
  "status.gone": "Removed at WasenderAPI",
  "status.stale": "Not sure: last checked {ago}",
  "status.never_checked": "Not sure: not checked yet",

  "sessions.button": "Sessions",
  "sessions.title": "Sessions",
  "sessions.lead": "The WhatsApp numbers linked to this inbox.",
  "sessions.loading": "Loading sessions…",
  "sessions.empty": "No WhatsApp number is linked yet",
  "sessions.empty.hint": "Create a session, then scan its code with the phone. It takes a minute.",
  "sessions.empty.viewer": "An administrator can create one here.",
  "sessions.error": "The sessions could not be loaded",
  "sessions.create": "New session",
  "sessions.create.title": "New session",
  "sessions.create.submit": "Create and show code",
  "sessions.create.busy": "Creating…",
  "sessions.name": "Name",
  "sessions.name.hint": "For your team, such as “Shop” or “Support”.",
  "sessions.name.missing": "Give the session a name.",
  "sessions.phone": "Phone number",
  "sessions.phone.hint": "With country code, for example +92 300 1234567.",
  "sessions.phone.invalid": "Write the number with its country code, for example +92 300 1234567.",
  "sessions.protection": "Account protection",
  "sessions.protection.hint": "Slower but safer: WasenderAPI then sends at most one message every 5 seconds.",
  "sessions.link": "Link phone",
  "sessions.link_again": "Link again",
  "sessions.reconnect": "Reconnect",
  "sessions.show_qr": "Show QR code",
  "sessions.open_inbox": "Open inbox",
  "sessions.details": "Details",
  "sessions.disconnect": "Disconnect",
  "sessions.disconnect.ask":
    "Disconnect “{name}”? The phone is unlinked and no messages arrive until it is linked again. Messages stay here.",
  "sessions.restart": "Restart",
  "sessions.restart.busy": "Restarting…",
  "sessions.delete": "Delete",
  "sessions.delete.ask":
    "Delete “{name}”? The session is removed at WasenderAPI and its log here. Messages stay. This cannot be undone.",
  "sessions.busy": "Working…",
  "sessions.done.disconnect": "Disconnected.",
  "sessions.done.restart": "Restart requested.",
  "sessions.done.delete": "Session deleted.",
  "sessions.warning": "WasenderAPI says: {warning}",
  "field.id": "Session number",
  "field.phone": "Phone",
  "field.checked": "Checked",
  "field.source": "Learned from",
  "field.protection": "Account protection",
  "field.last_connected": "Last connected",
  "field.created": "Created",
  "field.on": "on",
  "field.off": "off",
  "field.never": "never",
  "source.webhook": "a webhook",
  "source.poll": "the linking check",
  "source.probe": "a routine check",
  "source.api": "WasenderAPI",

  "common.cancel": "Cancel",
  "common.close": "Close",
  "common.back": "Back",
  "common.loading": "Loading…",

  "link.title": "Link “{name}”",
  "link.step1": "Open WhatsApp on the phone.",
  "link.step2": "Tap Menu or Settings, then Linked devices.",
  "link.step3": "Tap Link a device.",
  "link.step4": "Point the phone at this code.",
  "link.old_code": "The phone says it could not connect? The code was a moment too old: scan the next one.",
  "link.one_screen": "Reading this on the same phone? Open the page on another screen to scan.",
  "link.alt": "QR code to link this phone",
  "link.preparing": "Preparing a code…",
  "link.slow": "Still working. WasenderAPI takes longer than usual.",
  "link.qr": "Scan this code with WhatsApp",
  "link.left": { one: "Valid for about {n} second", other: "Valid for about {n} seconds" },
  "link.attempt": "Code {n} of {max}",
  "link.refreshing": "Getting a new code…",
  "link.reconnecting": "Reconnecting…",
  "link.finishing": "Phone found, finishing…",
  "link.passkey": "WhatsApp asks for one more step on your phone",
  "link.finishing.slow": "This takes longer than usual. You can wait, or start again.",
  "link.success": "Linked",
  "link.success.number": "{phone} is linked",
  "link.expired": "The code has expired",
  "link.expired.hint": "WhatsApp shows codes only for a few minutes. One click makes a new one.",
  "link.cancelled": "Linking was stopped",
  "link.cancelled.hint": "Somebody ended this attempt. You can start a new one.",
  "link.again": "Show a new code",
  "link.error": "Linking did not work",
  "link.error.unknown": "WasenderAPI did not say why.",
  "link.back": "All sessions",
  "live.ready": "The code is ready to scan.",
  "live.new": "There is a new code.",
  "live.expired": "The code has expired.",
  "live.success": "The phone is linked.",
  "live.error": "Linking failed.",
  "live.finishing": "The phone was found.",

  "list.title": "Conversations",
  "list.search": "Search",
  "list.search.label": "Search name, number or text",
  "list.filter": "Show",
  "list.all": "All",
  "list.unread": "Unread",
  "list.unreplied": "Unreplied",
  "list.sessions": "All sessions",
  "list.session": "Session",
  "list.loading": "Loading conversations…",
  "list.empty": "No conversations yet",
  "list.empty.hint": "Messages appear here by themselves as customers write.",
  "list.nothing": "Nothing found",
  "list.nothing.hint": "No conversation fits this search and filter.",
  "list.error": "The conversations could not be loaded",
  "list.first": "Link your first WhatsApp number",
  "list.first.hint": "Then your customers’ messages appear here, by themselves.",
  "list.first.button": "Link a phone",
  "list.unread.label": { one: "{n} unread message", other: "{n} unread messages" },
  "list.found": { one: "{n} conversation", other: "{n} conversations" },
  "list.you": "You: {text}",
  "list.unassigned": "No session",

  "thread.none": "Choose a conversation",
  "thread.none.hint": "New messages arrive here without reloading.",
  "thread.label": "Messages with {name}",
  "thread.loading": "Loading messages…",
  "thread.older": "Loading older messages…",
  "thread.empty": "No messages yet",
  "thread.error": "The messages could not be loaded",
  "thread.new": { one: "{n} new message", other: "{n} new messages" },
  "thread.newest": "Go to the newest message",
  "thread.you": "You",
  "thread.unread": { one: "{n} unread message", other: "{n} unread messages" },
  "thread.edited": "edited",
  "thread.deleted": "This message was deleted",
  "thread.arrived": "New message from {name}",
  "thread.today": "Today",
  "thread.yesterday": "Yesterday",

  "type.image": "Photo",
  "type.video": "Video",
  "type.audio": "Voice message",
  "type.document": "Document",
  "type.sticker": "Sticker",
  "type.location": "Location",
  "type.contact": "Contact",
  "type.poll": "Poll",
  "type.reaction": "Reaction",
  "type.text": "Empty message",
  "type.unknown": "This kind of message is not supported here. See the phone.",
  "type.open": "Open",

  "delivery.queued": "Waiting to be sent",
  "delivery.sent": "Sent",
  "delivery.delivered": "Delivered",
  "delivery.read": "Read",
  "delivery.failed": "Not sent",
  "delivery.unknown": "Not sure whether it was sent",

  "composer.label": "Reply",
  "composer.placeholder": "Write a reply",
  "composer.send": "Send",
  "composer.off": "Replies are not switched on in this gateway yet.",
  "composer.not_connected": "This number is not connected: replies wait until it is.",
};

/** @typedef {keyof typeof en} TextKey */
/** @typedef {Record<TextKey, string | Record<string, string>>} Catalogue */

/** @type {Record<string, Catalogue>} */
const catalogues = { en };

/** @param {string | undefined} wished  for example `en-GB` @returns {string} a language we have */
export function chooseLanguage(wished) {
  const language = (wished ?? "en").toLowerCase().split("-")[0];
  return language in catalogues ? language : "en";
}

export const language = chooseLanguage(
  globalThis.document?.documentElement.lang || globalThis.navigator?.language,
);
const plurals = new Intl.PluralRules(language);

/**
 * The text for `key`, with `{name}` replaced by parameters.
 *
 * @param {TextKey} key
 * @param {Record<string, string | number>} [params]
 */
export function t(key, params = {}) {
  const entry = catalogues[language][key];
  const text = typeof entry === "string" ? entry : (entry[plurals.select(Number(params.n))] ?? entry.other);
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in params ? String(params[name]) : whole));
}

/** Whether the catalogue has this text: for words of the wire that may be new. @param {string} key @returns {key is TextKey} */
export function hasText(key) {
  return key in catalogues[language];
}
