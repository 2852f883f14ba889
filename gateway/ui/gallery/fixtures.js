/** One shop's morning, always the same: people, numbers, messages of every kind and in every state. */

/** @import { Login } from "../account/devices.js" */
/** @import { Conversation, LinkCode, Me, Message, Session } from "../common/types.js" */
/** @import { Target } from "../admin/target.js" */
/** @import { LoginPerson } from "../people/person.js" */

/** The moment at which every picture is taken. */
export const NOW = Date.parse("2026-11-30T10:34:00Z");

/** @type {Me} */
export const ME = { sub: "user:1", name: "Amina Noor", role: "admin", sessions: "*", timezone: "UTC", can_send: true };

/** @param {number} id @param {string} name @param {string} status @param {Partial<Session>} [more] @returns {Session} */
const session = (id, name, status, more = {}) => ({
  id,
  name,
  phone_number: `+25571100000${id}`,
  status,
  account_protection: true,
  last_connected_at: "2026-11-01T08:00:00Z",
  created_at: "2026-10-01T08:00:00Z",
  updated_at: "2026-11-30T09:12:40Z",
  checked_at: "2026-11-30T10:33:40Z",
  source: "webhook",
  ...more,
});

export const SESSIONS = [session(1, "Front desk", "connected"), session(2, "Wholesale", "connected"), session(3, "Old shop", "logged_out")];

/** A chain of shops: enough numbers to be searched. */
export const manySessions = () => [
  ...SESSIONS,
  session(4, "Arusha", "connecting"),
  session(5, "Moshi", "need_scan", { last_connected_at: null }),
  session(6, "Zanzibar", "connected", { stale: true }),
  session(7, "Dodoma", "disconnected", { last_connected_at: null }),
  session(8, "Mbeya", "expired"),
];

/** What happened to a number, as `/logs` tells it. */
export const LOG = [
  { id: 9, event_type: "connected", message: "The phone is linked.", metadata: {}, created_at: "2026-11-30T09:12:40Z", actor: null },
  { id: 8, event_type: "scanned", message: "A phone has scanned the code.", metadata: {}, created_at: "2026-11-30T09:12:38Z", actor: null },
  { id: 7, event_type: "qr_generated", message: "Code 1 is shown.", metadata: {}, created_at: "2026-11-30T09:12:02Z", actor: null },
  { id: 6, event_type: "link_started", message: "Linking was started.", metadata: {}, created_at: "2026-11-30T09:12:01Z", actor: "Amina Noor" },
  { id: 5, event_type: "error", message: "Linking ended.", metadata: { error: { code: "upstream_unauthorized", message: "WasenderAPI answered 401." } }, created_at: "2026-11-29T17:40:12Z", actor: null },
  { id: 4, event_type: "secrets_revealed", message: "Ali saw the keys.", metadata: {}, created_at: "2026-11-29T17:31:00Z", actor: "Ali" },
  { id: 3, event_type: "session_created", message: "Amina Noor added it.", metadata: {}, created_at: "2026-10-01T08:00:00Z", actor: "Amina Noor" },
];

/** @param {string} time  `10:32`, or a whole date */
const at = (time) => (time.length > 5 ? time : `2026-11-30T${time}:00Z`);

const PHONE = "255711000111";
const CHAT = `${PHONE}@s.whatsapp.net`;

let lastId = 0;

/** @param {string} time @param {string | null} text @param {Partial<Message>} [more] @returns {Message} */
export function incoming(time, text, more = {}) {
  lastId += 1;
  return {
    id: String(lastId),
    direction: "in",
    session_id: 1,
    chat: CHAT,
    phone: PHONE,
    from_phone: PHONE,
    push_name: "Asha Said",
    message_text: text,
    message_type: "text",
    received_at: at(time),
    created_at: at(time),
    is_read: true,
    ...more,
  };
}

/** @param {string} time @param {string | null} text @param {string} status @param {Partial<Message>} [more] @returns {Message} */
export function outgoing(time, text, status, more = {}) {
  const sent = ["queued", "sending", "accepted", "failed", "unknown", "cancelled"].includes(status) ? null : at(time);
  return {
    ...incoming(time, text),
    direction: "out",
    push_name: null,
    from_phone: null,
    received_at: null,
    client_id: `c${lastId}`,
    status,
    sent_at: sent,
    created_by: "Amina Noor",
    origin: "page",
    ...more,
  };
}

/** A warm picture of no person. @param {string} a @param {string} b @param {number} width @param {number} height */
export function picture(a, b, width, height) {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="${a}"/><stop offset="1" stop-color="${b}"/></linearGradient></defs><rect width="100%" height="100%" fill="url(#g)"/></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

const WAVE = Array.from({ length: 64 }, (_, n) => Math.round(18 + 70 * Math.abs(Math.sin(n * 0.55) * Math.cos(n * 0.13))));
const image = (/** @type {any} */ more = {}) => ({
  id: "m1",
  state: /** @type {"stored"} */ ("stored"),
  kind: "image",
  mime: "image/jpeg",
  name: "sugar.jpg",
  bytes: 84_000,
  width: 1280,
  height: 822,
  preview: picture("#e6c79a", "#6b3f25", 64, 41),
  ...more,
});
const pdf = { id: "m2", state: /** @type {"stored"} */ ("stored"), kind: "document", mime: "application/pdf", name: "Price list November.pdf", bytes: 184_000, pages: 3 };
const voice = { id: "m3", state: /** @type {"stored"} */ ("stored"), kind: "audio", mime: "audio/ogg", seconds: 14, waveform: WAVE, bytes: 30_000 };

/** The thread of the target pictures. */
export function ashasThread() {
  lastId = 0;
  const asked = incoming("10:31", "Is it this one?", { message_type: "image", media: image(), reactions: [{ emoji: "👍", name: "Amina Noor" }], is_read: false });
  return [
    incoming("09:12", "Habari! Do you still have the brown sugar, 25 kg?"),
    outgoing("09:14", "We do. 68,000 a bag, delivery today if you order before noon.", "read"),
    outgoing("09:14", null, "read", { message_type: "document", media: pdf }),
    asked,
    incoming("10:32", null, { message_type: "audio", media: voice, is_read: false }),
    outgoing("10:33", "Yes, exactly that one. How many bags?", "queued", { reply_to: `in:${asked.id}`, send_after: "2026-11-30T10:34:04Z", queue_position: 1 }),
  ];
}

/** Every kind that a customer may send. */
export function everyKind() {
  lastId = 100;
  /** @param {string} kind @param {string | null} text @param {any} [media] */
  const kind = (kind, text, media) => incoming("10:10", text, { message_type: kind, media });
  return [
    incoming("2026-11-29T16:02:00Z", "*Bold*, _italic_, ~gone~ and ```code``` and https://example.com/order/42", { edited_at: at("10:00") }),
    kind("image", "A photo with a caption that is longer than the photo is wide, so that it has to wrap", image()),
    kind("image", null, image({ id: "m9", state: "pending", width: 800, height: 1000 })),
    kind("video", null, image({ kind: "video", seconds: 42, width: 720, height: 1280, preview: picture("#22506b", "#0c1f2b", 64, 64) })),
    kind("audio", null, voice),
    kind("document", "The list that you asked for", pdf),
    kind("document", null, { ...pdf, name: "orders-2026.xlsx", mime: "x", pages: null, state: "lost", reason: "WhatsApp no longer has this file." }),
    kind("sticker", null, image({ kind: "sticker", width: 300, height: 300 })),
    kind("location", "Kariakoo Market\nMkunguni Street, Dar es Salaam\n-6.8194,39.2745"),
    kind("contact", "Juma Wholesale\n+255 712 000 222"),
    kind("poll", "Which day suits you?\n• Monday\n• Wednesday\n• Friday"),
    kind("order", "Order of 3 items\nTZS 204,000\nPlease deliver before noon"),
    kind("product", "Brown sugar, 25 kg\nTZS 68,000"),
    kind("payment", "Payment\nfor order 42"),
    kind("event", "Market day\n1 Dec 2026, 08:00\nKariakoo"),
    kind("call", "Missed voice call"),
    kind("call", "Missed video call"),
    kind("something_new", null),
    incoming("10:20", "🙏"),
    incoming("10:20", null, { deleted_at: at("10:21") }),
    incoming("10:22", `${"A long story about bags of sugar and the road from Morogoro. ".repeat(20)}`),
  ];
}

/** Every state that a message of ours may be in. */
export function everyState() {
  lastId = 200;
  const soon = "2026-11-30T10:34:09Z";
  return [
    outgoing("09:00", "Sent", "sent"),
    outgoing("09:01", "Delivered", "delivered"),
    outgoing("09:02", "Read", "read"),
    outgoing("09:03", null, "played", { message_type: "audio", media: voice }),
    outgoing("09:04", "This one did not go out", "failed", { error: "WhatsApp does not know this number." }),
    outgoing("09:05", "Nobody can say of this one", "unknown"),
    outgoing("09:06", "Taken back in time", "cancelled"),
    outgoing("09:07", "With the service now", "accepted"),
    outgoing("09:08", "Going out now", "sending"),
    outgoing("09:09", "In the queue", "queued", { send_after: soon }),
    outgoing("09:10", "Overtaken by the phone", "queued", { send_after: soon, overtaken_by: "out:201" }),
    outgoing("09:11", "For tomorrow morning", "queued", { send_after: "2026-12-01T08:00:00Z" }),
    outgoing("09:12", "Not yet taken by the gateway", "queued", { id: "", local: "waiting" }),
  ];
}

/** A thread of years. */
export function longThread() {
  lastId = 1000;
  const begin = Date.parse("2026-11-30T08:00:00Z");
  return Array.from({ length: 5000 }, (_, n) =>
    incoming(new Date(begin + n * 1000).toISOString(), `Line ${n + 1} of a long talk about sugar`, { direction: n % 3 ? "in" : "out", status: n % 3 ? null : "read" }),
  );
}

/** A group, with its people. */
export function groupThread() {
  lastId = 300;
  const chat = "120363000000000001@g.us";
  /** @param {string} time @param {string} name @param {string} phone @param {string} text */
  const said = (time, name, phone, text) => incoming(time, text, { chat, phone: null, push_name: name, from_phone: phone });
  return [
    said("09:20", "Hamisi", "255711000301", "Leaving the depot now"),
    said("09:21", "Hamisi", "255711000301", "Two stops before Kariakoo"),
    said("09:25", "Rehema", "255711000302", "I take the harbour tour"),
    outgoing("09:27", "Thank you both", "read", { chat, phone: null }),
    said("09:30", "Hamisi", "255711000301", "at the gate now"),
  ];
}

/** @param {Partial<Conversation> & {chat: string, name: string | null}} of @returns {Conversation} */
const conversation = (of) => ({
  session_id: 1,
  phone: /^(\d+)@s/.exec(of.chat)?.[1] ?? null,
  unread: 0,
  replied: of.last_message?.direction === "out",
  last_message: null,
  last_at: of.last_message?.received_at ?? of.last_message?.created_at ?? at("08:00"),
  ...of,
});

/** @param {number} n */
const person = (n) => `2557110002${String(n).padStart(2, "0")}@s.whatsapp.net`;

/** The list of the target pictures. @returns {Conversation[]} */
export function list() {
  lastId = 500;
  return [
    conversation({ chat: CHAT, name: "Asha Said", unread: 2, last_message: incoming("10:32", null, { message_type: "audio", media: voice }) }),
    conversation({ session_id: 2, chat: person(2), name: "Juma Wholesale", unread: 1, last_message: incoming("10:22", "Can you deliver 40 crates on Friday?", { session_id: 2 }) }),
    conversation({ chat: person(3), name: "Maria Kessy", last_message: outgoing("10:05", "Thank you, see you tomorrow at ten", "read") }),
    conversation({ chat: "255754000302@s.whatsapp.net", name: null, unread: 1, replied: true, last_message: incoming("09:58", "Missed voice call", { message_type: "call" }) }),
    conversation({ session_id: 3, chat: person(5), name: "Fatma, Stone Town", unread: 3, last_message: incoming("09:34", null, { message_type: "image", media: image() }) }),
    conversation({ chat: "120363000000000001@g.us", name: "Drivers", phone: null, replied: true, last_message: incoming("09:30", "at the gate now", { push_name: "Hamisi", chat: "120363000000000001@g.us" }) }),
    conversation({ chat: person(7), name: "Neema", last_message: outgoing("2026-11-29T15:00:00Z", "2 bags, 136,000", "read") }),
    conversation({ session_id: 2, chat: person(8), name: "Kariakoo Spices", replied: true, owner: "user:2", owner_name: "Ali Hassan", last_message: incoming("2026-11-29T14:00:00Z", "Ok") }),
    conversation({ chat: person(9), name: "Yusuf Ali", replied: true, last_message: incoming("2026-11-28T12:00:00Z", null, { message_type: "document", media: pdf }) }),
    conversation({ session_id: 3, chat: person(10), name: "Grace M.", replied: true, last_message: incoming("2026-11-28T11:00:00Z", "Asante sana 🙏") }),
    conversation({ chat: person(11), name: "علی رضا", last_message: outgoing("2026-11-28T10:00:00Z", "شكرًا، نفتح الساعة ٩", "delivered") }),
    conversation({ chat: person(12), name: "<b>Carla</b> & sons", replied: true, last_message: incoming("2026-11-27T10:00:00Z", "<img src=x onerror=alert(1)>") }),
    conversation({ chat: person(13), name: "Zuhura", last_message: outgoing("2026-11-20T10:00:00Z", "We could not reach you", "failed") }),
    conversation({ chat: person(14), name: "Blocked person", blocked: true, replied: true, last_message: incoming("2026-11-02T10:00:00Z", null, { deleted_at: at("10:00") }) }),
  ];
}

export const TOTALS = { all: 184, unread: 12, unreplied: 5, mine: 3, free: 9, groups: 4 };

/** @type {import("../common/types.js").Template[]} */
export const TEMPLATES = [
  { id: 1, session_id: null, shortcut: "hours", text: "We are open from Monday to Saturday, 8 to 18 o'clock." },
  { id: 2, session_id: null, shortcut: "hello", text: "Hello {name}, thank you for writing. How can we help?", media: { id: "t2", state: "stored", kind: "image", mime: "image/jpeg", name: "price-list.jpg", bytes: 48_200 } },
  { id: 3, session_id: 1, shortcut: "bank", text: "CRDB 0150 0000 0000, name: Front Desk Ltd. Please send the receipt here." },
];

/** @param {number} id @param {string} name @param {LoginPerson["role"]} role @param {Partial<LoginPerson>} [more] @returns {LoginPerson} */
const mayLogIn = (id, name, role, more = {}) => ({
  id,
  sub: `user:${id}`,
  name,
  role,
  sessions: "*",
  disabled_at: null,
  has_password: true,
  created_at: "2026-10-01T08:00:00Z",
  ...more,
});

export const PERSONS = [
  mayLogIn(2, "Ali Hassan", "agent", { sessions: [1, 2] }),
  mayLogIn(1, "Amina Noor", "admin"),
  mayLogIn(3, "Grace Mollel", "viewer", { sessions: [1], has_password: false }),
  mayLogIn(4, "Yusuf", "agent", { sessions: [3], disabled_at: "2026-11-20T08:00:00Z" }),
];

/** @param {string} id @param {string} agent @param {string} seen_at @param {boolean} [is_current] @returns {Login} */
const login = (id, agent, seen_at, is_current = false) => ({
  id,
  agent,
  address: "203.0.113.7",
  created_at: "2026-11-01T08:00:00Z",
  seen_at,
  ends_at: "2026-12-30T08:00:00Z",
  is_current,
});

export const LOGINS = [
  login("a", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "2026-11-30T10:33:00Z", true),
  login("b", "Mozilla/5.0 (Linux; Android 15) Chrome/142.0.0.0 Mobile Safari/537.36", "2026-11-30T08:12:00Z"),
  login("c", "Mozilla/5.0 (Windows NT 10.0) Chrome/142.0.0.0 Safari/537.36", "2026-11-21T08:12:00Z"),
];

/** What looks like a code of 61 modules, and leads nowhere. */
function drawnCode() {
  const side = 69;
  let seed = 7;
  let path = "";
  for (let y = 4; y < side - 4; y += 1) {
    for (let x = 4; x < side - 4; x += 1) {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      const corner = [[4, 4], [side - 11, 4], [4, side - 11]].find(([left, top]) => x >= left - 1 && x <= left + 7 && y >= top - 1 && y <= top + 7);
      const ring = corner ? Math.max(Math.abs(x - corner[0] - 3), Math.abs(y - corner[1] - 3)) : -1;
      if (corner ? ring === 3 || ring <= 1 : (seed >> 16) % 2 === 0) path += `M${x} ${y}h1v1h-1z`;
    }
  }
  const open = `<svg xmlns="http://www.w3.org/2000/svg" width="414" height="414" viewBox="0 0 ${side} ${side}" shape-rendering="crispEdges">`;
  return `data:image/svg+xml;base64,${btoa(`${open}<rect width="${side}" height="${side}" fill="#fff"/><path d="${path}"/></svg>`)}`;
}

/** @param {number} left  seconds that it still lives @returns {LinkCode} */
export const linkCode = (left) => ({
  qr_code: drawnCode(),
  seq: 2,
  issued_at: new Date(NOW + (left - 20) * 1000).toISOString(),
  expires_at: new Date(NOW + left * 1000).toISOString(),
  attempt: 2,
  max_attempts: 6,
});

const target = { sessions: /** @type {"*" | number[]} */ ("*"), events: /** @type {"*" | string[]} */ ("*"), paused_reason: /** @type {string | null} */ (null), delivered_at: "2026-11-30T10:32:00Z", waiting: 0, dead: 0 };

/** @param {string} rest  the gallery fetches nothing from there */
const address = (rest) => `${"https:"}//${rest}`;

/** Who is sent webhooks: one of each state. @type {Target[]} */
export const TARGETS = [
  { ...target, id: 1, url: address("shop.example/webhook.php"), mode: "raw", sessions: [1] },
  { ...target, id: 2, url: address("n8n.example/webhook/4f1c"), mode: "standard", events: ["message.created", "message.status"], waiting: 12 },
  { ...target, id: 3, url: address("crm.example/hooks/whatsapp"), mode: "standard", dead: 2 },
  { ...target, id: 4, url: address("old.example/in"), mode: "standard", paused_reason: "The receiver answers 401: it does not accept our signature. Give it the secret, then resume.", waiting: 80 },
];

export const DEAD_LETTERS = [
  { id: 71, session_id: 1, event: "message.created", answer: "500 Call to undefined function", ended_at: "2026-11-30T09:02:00Z" },
  { id: 70, session_id: 1, event: "message.status", answer: "500 Call to undefined function", ended_at: "2026-11-30T09:01:00Z" },
];
