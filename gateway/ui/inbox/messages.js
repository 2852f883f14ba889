/** One thread as data: loaded in pages from the newest back, moved by events, without doubles, in server order. */

import { compareMessages, conversationKey, nextStatus, messageKey } from "./order.js";
import { isCovered } from "../client/positions.js";

/** @import { Message, PositionMap, StreamEvent } from "../shared/types.js" */

/** @typedef {{messages: Message[], has_more: boolean, before: string | null, position: PositionMap}} ThreadReply */

export class Messages {
  /** @type {Map<string, Message>} */
  #byKey = new Map();
  /** @type {StreamEvent[] | null} events since the load began */
  #since = null;
  /** @type {import("../shared/types.js").Position | undefined} */
  #readAt;
  hasMore = false;
  /** @type {string | null} */
  before = null;

  /** @param {number} session @param {string} chat */
  constructor(session, chat) {
    this.session = session;
    this.chat = chat;
    this.key = conversationKey({ session_id: session, chat });
  }

  /** Oldest first. */
  list() {
    return [...this.#byKey.values()].sort(compareMessages);
  }

  get size() {
    return this.#byKey.size;
  }

  beginLoad() {
    this.#since = [];
  }

  /** The newest page replaces everything but replies that the server has not seen. @param {ThreadReply} reply */
  finishLoad(reply) {
    const since = this.#since ?? [];
    this.#since = null;
    const waiting = [...this.#byKey.values()].filter((message) => !message.id);
    this.#byKey = new Map(reply.messages.map((message) => [messageKey(message), message]));
    for (const message of waiting) {
      if (!this.#byKey.has(messageKey(message))) this.#byKey.set(messageKey(message), message);
    }
    this.hasMore = reply.has_more;
    this.before = reply.before;
    this.#readAt = reply.position?.[String(this.session)];
    for (const event of since) this.apply(event);
  }

  /** An older page. What is here already is newer than the page. @param {ThreadReply} reply */
  prepend(reply) {
    for (const message of reply.messages) {
      if (!this.#byKey.has(messageKey(message))) this.#byKey.set(messageKey(message), message);
    }
    this.hasMore = reply.has_more;
    this.before = reply.before;
  }

  /** Adds or replaces one message; a delivery state only goes forward. @param {Message} message */
  put(message) {
    const key = messageKey(message);
    const old = this.#byKey.get(key);
    const status =
      old && message.direction === "out" ? nextStatus(old.status, message.status) : message.status;
    this.#byKey.set(key, { ...message, status });
  }

  /** @param {Message} message */
  remove(message) {
    this.#byKey.delete(messageKey(message));
    // The event of a removed row names nothing but its id.
    for (const [key, own] of this.#byKey) {
      if (own.id === message.id && own.direction === message.direction) this.#byKey.delete(key);
    }
  }

  /** @param {StreamEvent} event @returns {boolean} whether anything here may look different now */
  apply(event) {
    const message = event.data;
    const removed = event.event === "message.deleted" && !message.deleted_at;
    if (!removed && conversationKey(message) !== this.key) return false;
    if (removed && message.session_id && message.session_id !== this.session) return false;
    this.#since?.push(event);
    if (isCovered(this.#readAt, event)) return false;
    if (removed) this.remove(message);
    else this.put(message);
    return true;
  }
}
