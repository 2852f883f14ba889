/**
 * One thread as data: a contiguous window of it, in server order, without doubles.
 *
 * The window grows at its ends by pages and is moved by events. What an event says of a message outside the window is
 * not put in: it would stand beside strangers. Only at an end that is the thread's own does anything new come in.
 */

import { compareMessages, conversationKey, messageKey, nextStatus } from "./order.js";
import { isCovered } from "../client/positions.js";

/** @import { Message, Position, PositionMap, StreamEvent } from "../common/types.js" */

/**
 * @typedef {{messages: Message[], has_more?: boolean, has_before?: boolean, has_after?: boolean,
 *   before?: string | null, after?: string | null, position: PositionMap}} ThreadReply
 * @typedef {"none" | "changed" | "beyond"} Outcome  beyond: there is something newer than the window
 */

export class Messages {
  /** Oldest first. @type {Message[]} */
  #list = [];
  /** @type {Map<string, Message>} */
  #byKey = new Map();
  /** @type {StreamEvent[] | null} events since the load began */
  #since = null;
  /** @type {Position | undefined} */
  #readAt;
  hasBefore = false;
  hasAfter = false;
  /** What the server takes to read on at either end. @type {string | null} */
  before = null;
  /** @type {string | null} */
  after = null;
  /** Up to where everything of this inbox has been seen here. @type {Position | undefined} */
  seen;

  /** @param {number} session @param {string} chat */
  constructor(session, chat) {
    this.session = session;
    this.chat = chat;
    this.key = conversationKey({ session_id: session, chat });
  }

  /** Oldest first; not to be changed. @returns {readonly Message[]} */
  list() {
    return this.#list;
  }

  get size() {
    return this.#list.length;
  }

  /** @param {string} key */
  get(key) {
    return this.#byKey.get(key);
  }

  /** @param {string} ref  `in:5` @returns {Message | undefined} */
  byRef(ref) {
    const own = this.#byKey.get(ref);
    return own ?? this.#list.find((message) => `${message.direction}:${message.id}` === ref);
  }

  /** Where a message stands in the list, or -1. @param {string} key */
  indexOf(key) {
    const message = this.#byKey.get(key);
    if (!message) return -1;
    let at = this.#place(message);
    while (at < this.#list.length && this.#list[at] !== message && compareMessages(this.#list[at], message) === 0)
      at += 1;
    return this.#list[at] === message ? at : this.#list.indexOf(message);
  }

  beginLoad() {
    this.#since = [];
  }

  abandonLoad() {
    this.#since = null;
  }

  /** A new window replaces everything but replies that the server has not seen. @param {ThreadReply} reply */
  finishLoad(reply) {
    const since = this.#since ?? [];
    this.#since = null;
    const waiting = this.#list.filter((message) => !message.id);
    this.#list = [];
    this.#byKey.clear();
    this.#readAt = reply.position?.[String(this.session)];
    this.seen = this.#readAt;
    this.hasBefore = this.hasAfter = false;
    for (const message of reply.messages) this.put(message);
    this.#open(reply, "both");
    for (const message of waiting) if (!this.#byKey.has(messageKey(message)) && !this.hasAfter) this.put(message);
    for (const event of since) this.apply(event);
  }

  /** An older page. @param {ThreadReply} reply */
  prepend(reply) {
    this.#join(reply);
    this.#open(reply, "before");
  }

  /** A newer page. @param {ThreadReply} reply */
  append(reply) {
    this.#join(reply);
    this.#open(reply, "after");
    if (!this.hasAfter) this.seen = newest(this.seen, reply.position?.[String(this.session)]);
  }

  /** What is here already is newer than the page. @param {ThreadReply} reply */
  #join(reply) {
    for (const message of reply.messages) if (!this.#byKey.has(messageKey(message))) this.put(message);
  }

  /** @param {ThreadReply} reply @param {"before" | "after" | "both"} side */
  #open(reply, side) {
    const first = this.#list[0];
    const last = this.#list.at(-1);
    if (side !== "after") {
      this.hasBefore = reply.has_before ?? reply.has_more ?? false;
      this.before = reply.before ?? (first ? `${first.direction}:${first.id}` : null);
    }
    if (side !== "before") {
      this.hasAfter = reply.has_after ?? false;
      this.after = reply.after ?? (last ? `${last.direction}:${last.id}` : null);
    }
  }

  /** The first place at which `message` may stand. @param {Message} message */
  #place(message) {
    let [low, high] = [0, this.#list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareMessages(this.#list[middle], message) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Adds or replaces one message; a delivery state only goes forward. @param {Message} message */
  put(message) {
    const key = messageKey(message);
    const old = this.#byKey.get(key) ?? this.#sameRow(message);
    const status =
      old && message.direction === "out" ? nextStatus(old.status, message.status) : message.status;
    const next = { ...message, status };
    if (old) {
      const at = this.indexOf(messageKey(old));
      this.#byKey.delete(messageKey(old));
      if (at >= 0 && compareMessages(old, next) === 0 && old.id === next.id) {
        this.#list[at] = next;
        this.#byKey.set(key, next);
        return;
      }
      if (at >= 0) this.#list.splice(at, 1);
    }
    this.#byKey.set(key, next);
    this.#list.splice(this.#place(next), 0, next);
  }

  /** A row of ours that this page knew by another name. @param {Message} message */
  #sameRow(message) {
    return message.direction === "out" && message.client_id && message.id
      ? this.#byKey.get(`out:${message.id}`)
      : undefined;
  }

  /** @param {Message} message */
  remove(message) {
    // The event of a removed row names nothing but its id.
    this.#list = this.#list.filter((own) => {
      const isIt =
        messageKey(own) === messageKey(message) ||
        (own.id !== "" && own.id === message.id && own.direction === message.direction);
      if (isIt) this.#byKey.delete(messageKey(own));
      return !isIt;
    });
  }

  /** Whether a message stands within what is loaded, or at an end that is the thread's own. @param {Message} message */
  #fits(message) {
    const first = this.#list[0];
    const last = this.#list.at(-1);
    if (!first || !last) return !this.hasBefore && !this.hasAfter;
    if (this.hasBefore && compareMessages(message, first) < 0) return false;
    return !(this.hasAfter && compareMessages(message, last) > 0);
  }

  /** @param {StreamEvent} event @returns {Outcome} whether anything here may look different now */
  apply(event) {
    const message = event.data;
    if (String(message.session_id ?? this.session) === String(this.session)) this.#heard(event);
    // Marks of the conversation are an event of its stream, too, and no message.
    if (!event.event.startsWith("message.")) return "none";
    const removed = event.event === "message.deleted" && !message.deleted_at;
    if (removed) {
      if (message.session_id && message.session_id !== this.session) return "none";
      this.#since?.push(event);
      if (isCovered(this.#readAt, event)) return "none";
      const before = this.size;
      this.remove(message);
      return this.size === before ? "none" : "changed";
    }
    if (conversationKey(message) !== this.key) return this.#leave(message);
    this.#since?.push(event);
    if (isCovered(this.#readAt, event)) return "none";
    const known = this.#byKey.has(messageKey(message)) || this.#sameRow(message);
    if (known || this.#fits(message)) {
      this.put(message);
      return "changed";
    }
    const last = this.#list.at(-1);
    const isNewer = this.hasAfter && last && compareMessages(message, last) > 0;
    return event.event === "message.created" && isNewer ? "beyond" : "none";
  }

  /** A message that now belongs to another conversation is not of this one. @param {Message} message @returns {Outcome} */
  #leave(message) {
    if (message.session_id !== this.session || !this.#byKey.has(messageKey(message))) return "none";
    this.remove(message);
    return "changed";
  }

  /** @param {StreamEvent} event */
  #heard(event) {
    if (event.inbox === String(this.session)) this.seen = newest(this.seen, { off: event.off, epoch: event.epoch });
  }
}

/** @param {Position | undefined} a @param {Position | undefined} b */
function newest(a, b) {
  if (!a || !b) return b ?? a;
  if (a.epoch !== b.epoch && b.epoch !== null && a.epoch !== null) return b;
  return b.off > a.off ? { off: b.off, epoch: b.epoch ?? a.epoch } : a;
}
