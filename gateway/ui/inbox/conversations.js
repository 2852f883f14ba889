/**
 * The conversation list as data: loaded by REST, moved by events, exact about unread counts.
 *
 * A list read at a position already holds every event up to it; events that come while a list is on its way are
 * kept and applied again to what the reply replaces. So nothing is counted twice and nothing is lost.
 */

import {
  compareConversations,
  compareMessages,
  conversationKey,
  isShown,
  messageKey,
  messageTime,
} from "./order.js";
import { isCovered } from "../client/positions.js";

/** @import { Conversation, Message, PositionMap, StreamEvent } from "../shared/types.js" */

/**
 * @typedef {{session: number | null, filter: "all" | "unread" | "unreplied", search: string}} Query
 * @typedef {{conversations: Conversation[], next_cursor: string | null, position: PositionMap}} ListReply
 */

export class Conversations {
  /** Everything ever loaded or heard of, whatever the query. @type {Map<string, Conversation>} */
  #known = new Map();
  /** @type {Map<string, import("../shared/types.js").Position>} where each conversation's inbox stood when it was read */
  #readAt = new Map();
  /** @type {Set<string>} what the query shows */
  #view = new Set();
  /** @type {StreamEvent[] | null} events since a load began */
  #since = null;
  /** @type {Query} */
  query = { session: null, filter: "all", search: "" };
  /** @type {string | null} */
  nextCursor = null;

  get isPlain() {
    return this.query.filter === "all" && !this.query.search;
  }

  get size() {
    return this.#view.size;
  }

  /** Newest first. @param {string | null} [keep] a conversation to show even if the query has dropped it */
  rows(keep = null) {
    const keys = new Set(this.#view);
    if (keep && this.#known.has(keep)) keys.add(keep);
    return [...keys].flatMap((key) => this.#known.get(key) ?? []).sort(compareConversations);
  }

  /** @param {string} key */
  get(key) {
    return this.#known.get(key);
  }

  /** Conversations with something unread. */
  get unread() {
    let count = 0;
    for (const conversation of this.#known.values()) if (conversation.unread > 0) count += 1;
    return count;
  }

  beginLoad() {
    this.#since = [];
  }

  abandonLoad() {
    this.#since = null;
  }

  /** @param {ListReply} reply @param {{append: boolean}} options */
  finishLoad(reply, { append }) {
    const since = this.#since ?? [];
    this.#since = null;
    if (!append) this.#view.clear();
    const replaced = new Set();
    for (const conversation of reply.conversations) {
      const key = conversationKey(conversation);
      replaced.add(key);
      this.#known.set(key, { ...conversation });
      const position = reply.position?.[String(conversation.session_id)];
      if (position) this.#readAt.set(key, position);
      this.#view.add(key);
    }
    this.nextCursor = reply.next_cursor;
    for (const event of since) {
      const key = conversationKey(event.data);
      if (replaced.has(key)) this.apply(event);
      else if (this.#known.has(key) && this.#belongs(event.data)) this.#view.add(key);
    }
  }

  /** @param {string} key */
  markRead(key) {
    const conversation = this.#known.get(key);
    if (conversation) conversation.unread = 0;
  }

  /**
   * @param {StreamEvent} event
   * @returns {"changed" | "refresh" | "none"}  refresh: what it does to counts only the server can say
   */
  apply(event) {
    const message = event.data;
    if (!isShown(message.chat)) return event.event === "message.deleted" ? "refresh" : "none";
    const key = conversationKey(message);
    this.#since?.push(event);
    if (isCovered(this.#readAt.get(key), event)) return "none";
    if (event.event === "message.created") return this.#create(key, message);
    const conversation = this.#known.get(key);
    const last = conversation?.last_message;
    if (conversation && last && messageKey(last) === messageKey(message) && message.created_at) {
      conversation.last_message = message;
    }
    return event.event === "message.status" ? "changed" : "refresh";
  }

  /** @param {string} key @param {Message} message @returns {"changed" | "refresh"} */
  #create(key, message) {
    const known = this.#known.get(key);
    const conversation = known ?? {
      session_id: message.session_id,
      chat: String(message.chat),
      phone: message.phone ?? null,
      name: null,
      unread: 0,
      replied: false,
      last_message: null,
      last_at: null,
    };
    this.#known.set(key, conversation);
    const last = conversation.last_message;
    if (!last || compareMessages(last, message) <= 0) {
      conversation.last_message = message;
      conversation.last_at = new Date(messageTime(message)).toISOString();
      conversation.replied = message.direction === "out";
    }
    if (message.direction === "in") {
      conversation.name ??= message.push_name ?? null;
      if (!message.is_read && !message.deleted_at) conversation.unread += 1;
    }
    if (this.#belongs(message)) this.#view.add(key);
    // One we did not know may be an old one beyond the loaded page: then it has more unread than this message.
    return known && (this.isPlain || this.#view.has(key)) ? "changed" : "refresh";
  }

  /** Whether a conversation that just moved is in the plain list. @param {Message} message */
  #belongs(message) {
    return this.isPlain && (this.query.session === null || this.query.session === message.session_id);
  }
}
