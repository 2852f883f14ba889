/** Keys, times and order of messages and conversations: one truth for list and thread. */

/** @import { Conversation, Message } from "../common/types.js" */

/** @param {{session_id: number, chat: string | null}} of */
export function conversationKey(of) {
  return `${of.session_id}|${of.chat ?? ""}`;
}

/**
 * One key per message, whichever way it came. A reply of ours is known by its client id before it has a row.
 *
 * @param {Message} message
 */
export function messageKey(message) {
  if (message.direction === "out" && message.client_id) return `out:c:${message.client_id}`;
  return `${message.direction}:${message.id}`;
}

/** The name of a message's row in addresses and in `reply_to`. @param {Message} message */
export function refOf(message) {
  return `${message.direction}:${message.id}`;
}

/**
 * Milliseconds of the moment a message belongs to: the server's time, never this computer's.
 *
 * @param {Message} message
 */
export function messageTime(message) {
  const text =
    message.direction === "in"
      ? (message.received_at ?? message.created_at)
      : (message.sent_at ?? message.created_at ?? message.send_after);
  const time = text ? Date.parse(text) : NaN;
  return Number.isNaN(time) ? 0 : time;
}

/** @param {string} a @param {string} b  row ids: numbers in one shop's table, uuids in another's */
function compareIds(a, b) {
  if (/^\d+$/.test(a) && /^\d+$/.test(b)) return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Microseconds of the moment a row was made; a date of JavaScript ends at milliseconds.
 *
 * @param {Message} message
 */
function arrival(message) {
  const text = message.created_at ?? (message.direction === "in" ? message.received_at : message.sent_at) ?? "";
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? "";
  return (Date.parse(text) || 0) * 1000 + Number(fraction.padEnd(6, "0").slice(3, 6));
}

/** @param {Message} message  WhatsApp tells whole seconds: within one the order is that of arrival */
const second = (message) => Math.floor(messageTime(message) / 1000);

/** Oldest first; equal moments keep one order for ever. @param {Message} a @param {Message} b */
export function compareMessages(a, b) {
  return (
    second(a) - second(b) ||
    arrival(a) - arrival(b) ||
    (a.direction === b.direction ? compareIds(a.id, b.id) : a.direction === "in" ? -1 : 1)
  );
}

/** When each conversation moved last: thousands are sorted by it. @type {WeakMap<Conversation, number>} */
const moments = new WeakMap();

/** @param {Conversation} of */
function moment(of) {
  let at = moments.get(of);
  if (at === undefined) moments.set(of, (at = Date.parse(of.last_at ?? "") || 0));
  return at;
}

/** Newest first. @param {Conversation} a @param {Conversation} b */
export function compareConversations(a, b) {
  return moment(b) - moment(a) || (conversationKey(a) < conversationKey(b) ? -1 : 1);
}

/** @param {string | null | undefined} chat */
export function isGroup(chat) {
  return /@g\.us$/.test(String(chat ?? ""));
}

/**
 * Groups stand under a filter of their own; channels and status posts are kept by the server and not shown.
 *
 * @param {string | null | undefined} chat
 */
export function isShown(chat) {
  return Boolean(chat) && !/@(g\.us|newsletter|broadcast)$/.test(String(chat));
}

const ANSWERS_NOTHING = new Set(["queued", "failed", "cancelled"]);

/** Whether a message of ours stands as an answer: what waits, failed or was cancelled does not. @param {Message} message */
export function isAnswer(message) {
  return message.direction === "out" && !ANSWERS_NOTHING.has(message.status ?? "");
}

/** @type {Record<string, number>} */
const STEPS = { queued: 1, sending: 2, accepted: 3, sent: 4, delivered: 5, read: 6, played: 7 };

/**
 * The delivery state to show after `now` was reported on top of `old`: a tick never goes back on the screen, in
 * whatever order reports arrive, and what was delivered cannot fail any more. `unknown` and `failed` may be settled
 * or tried again by a person, so anything may follow them.
 *
 * @param {string | null | undefined} old
 * @param {string | null | undefined} now
 */
export function nextStatus(old, now) {
  if (!old || !now) return now ?? old;
  const [before, after] = [STEPS[old] ?? 0, STEPS[now] ?? 0];
  if (after === 0) return before >= STEPS.delivered ? old : now;
  return after >= before ? now : old;
}
