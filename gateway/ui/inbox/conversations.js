/**
 * The conversation list as data: loaded by REST, moved by events, exact about unread counts.
 *
 * A list read at a position already holds every event up to it; events that come while a list is on its way are
 * kept and applied again to what the reply replaces. So nothing is counted twice and nothing is lost. How many
 * conversations there are of each kind is the server's word (`totals`); between two words the page counts on.
 */

import {
  compareConversations,
  compareMessages,
  conversationKey,
  isAnswer,
  isGroup,
  isShown,
  messageKey,
  messageTime,
} from "./order.js";
import { isCovered } from "../client/positions.js";

/** @import { Conversation, Message, Position, PositionMap, StreamEvent, Totals } from "../common/types.js" */

/**
 * @typedef {"all" | "unread" | "unreplied" | "mine" | "free" | "groups" | "done"} Filter
 * @typedef {{session: number | null, filter: Filter, search: string}} Query
 * @typedef {{conversations: Conversation[], next_cursor: string | null, position: PositionMap, totals?: Totals}} ListReply
 */

export class Conversations {
  /** Everything ever loaded or heard of, whatever the query. @type {Map<string, Conversation>} */
  #known = new Map();
  /** @type {Map<string, Position>} where each conversation's inbox stood when it was read */
  #readAt = new Map();
  /** @type {Set<string>} what the query shows */
  #view = new Set();
  /** Sorted rows, until something moves. @type {Conversation[] | null} */
  #rows = null;
  /** The keys as they were sorted last. @type {string[]} */
  #order = [];
  /** @type {StreamEvent[] | null} events since a load began */
  #since = null;
  /** @type {Query} */
  query = { session: null, filter: "all", search: "" };
  /** @type {string | null} */
  nextCursor = null;
  /** @type {Totals | null} */
  totals = null;

  get isPlain() {
    return this.query.filter === "all" && !this.query.search;
  }

  get size() {
    return this.#view.size;
  }

  /** Newest first. @param {string | null} [keep] a conversation to show even if the query has dropped it */
  rows(keep = null) {
    this.#rows ??= this.#sorted();
    const kept = keep && !this.#view.has(keep) ? this.#known.get(keep) : undefined;
    if (!kept || this.query.search || kept.session_id !== (this.query.session ?? kept.session_id)) return this.#rows;
    return [...this.#rows, kept].sort(compareConversations);
  }

  /** From the order before, which is nearly right: then sorting costs little. */
  #sorted() {
    const wanted = new Set(this.#view);
    const keys = this.#order.filter((key) => wanted.delete(key));
    const rows = [...keys, ...wanted].flatMap((key) => this.#known.get(key) ?? []).sort(compareConversations);
    this.#order = rows.map(conversationKey);
    return rows;
  }

  /** @param {string} key */
  get(key) {
    return this.#known.get(key);
  }

  /** Conversations with something unread: of all, as far as the server has told. */
  get unread() {
    if (this.totals) return this.totals.unread;
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

  /**
   * `append` adds a page behind the others, `refresh` replaces the rows as far as the reply reaches, else all.
   *
   * @param {ListReply} reply @param {{append?: boolean, refresh?: boolean}} options
   */
  finishLoad(reply, { append = false, refresh = false }) {
    const since = this.#since ?? [];
    this.#since = null;
    this.totals = reply.totals ?? null;
    const isWhole = reply.next_cursor === null || this.#view.size <= reply.conversations.length;
    if (!append && (!refresh || isWhole)) this.#view.clear();
    else if (refresh) this.#dropHead(reply.conversations);
    const replaced = new Set();
    for (const conversation of reply.conversations) {
      const key = conversationKey(conversation);
      replaced.add(key);
      this.#store(key, conversation, reply.position);
      this.#view.add(key);
    }
    if (append || !refresh || isWhole) this.nextCursor = reply.next_cursor;
    this.#rows = null;
    for (const event of since) {
      const key = conversationKey(event.data);
      if (replaced.has(key)) this.apply(event);
      else if (this.#known.has(key) && this.#belongs(event.data)) this.#view.add(key);
    }
  }

  /** Leaves only what is older than the newest rows just read. @param {Conversation[]} head */
  #dropHead(head) {
    const last = head.at(-1);
    for (const key of [...this.#view]) {
      const known = this.#known.get(key);
      if (known && last && compareConversations(known, last) <= 0) this.#view.delete(key);
    }
  }

  /** One conversation that was fetched by itself. @param {Conversation} conversation @param {PositionMap} [position] */
  put(conversation, position) {
    this.#store(conversationKey(conversation), conversation, position);
    this.#rows = null;
  }

  /** @param {string} key @param {Conversation} conversation @param {PositionMap} [position] */
  #store(key, conversation, position) {
    this.#known.set(key, { ...conversation });
    const at = position?.[String(conversation.session_id)];
    if (at) this.#readAt.set(key, at);
  }

  /** What a person did here, before the server's word of it. @param {string} key @param {Partial<Conversation>} facts */
  change(key, facts) {
    const known = this.#known.get(key);
    if (!known) return;
    this.#count(known, -1);
    const next = { ...known, ...facts };
    this.#known.set(key, next);
    this.#count(next, 1);
    this.#rows = null;
  }

  /** @param {string} key */
  markRead(key) {
    this.change(key, { unread: 0, marked_unread: false });
  }

  /** @param {Conversation} conversation @param {1 | -1} by */
  #count(conversation, by) {
    if (!this.totals || !isShown(conversation.chat)) return;
    const { session } = this.query;
    if (session !== null && session !== conversation.session_id) return;
    const unread = this.totals.unread + (isUnread(conversation) ? by : 0);
    const unreplied = this.totals.unreplied + (isUnreplied(conversation) ? by : 0);
    this.totals = { ...this.totals, unread: Math.max(0, unread), unreplied: Math.max(0, unreplied) };
  }

  /**
   * @param {StreamEvent} event
   * @returns {"changed" | "refresh" | "none"}  refresh: what it does to counts only the server can say
   */
  apply(event) {
    const message = event.data;
    if (!message.chat) return event.event === "message.deleted" ? "refresh" : "none";
    if (!isShown(message.chat) && !isGroup(message.chat)) return "none";
    const key = conversationKey(message);
    this.#since?.push(event);
    if (isCovered(this.#readAt.get(key), event)) return "none";
    if (event.event === "message.created") return this.#create(key, message);
    if (event.event === "conversation.updated") return this.#mark(key, event.data);
    if (!event.event.startsWith("message.")) return "none";
    const known = this.#known.get(key);
    const last = known?.last_message;
    if (known && last && messageKey(last) === messageKey(message) && message.created_at) {
      this.#known.set(key, { ...known, last_message: message });
      this.#rows = null;
    } else if (known && isAnswer(message) && message.created_at) {
      this.#answer(key, known, message); // it waited until now, and stands as an answer from here on
    }
    if (event.event === "message.status") return "changed";
    return isGroup(message.chat) && this.query.filter !== "groups" ? "changed" : "refresh";
  }

  /** A person took it, ended it, named it: the event has all marks as they are now. @param {string} key @param {Record<string, any>} marks @returns {"refresh"} */
  #mark(key, marks) {
    this.change(key, {
      owner: marks.owner ?? null,
      owner_name: marks.owner_name ?? null,
      done: Boolean(marks.done_at),
      marked_unread: Boolean(marks.marked_unread_at),
      blocked: Boolean(marks.blocked_at),
      ...(marks.name ? { name: marks.name } : {}),
    });
    return "refresh";
  }

  /** @param {string} key @param {Message} message @returns {"changed" | "refresh" | "none"} */
  #create(key, message) {
    const old = this.#known.get(key);
    if (!old && message.direction === "out" && !isAnswer(message)) return "refresh";
    /** @type {Conversation} */
    const known = old ?? {
      session_id: message.session_id,
      chat: String(message.chat),
      phone: message.phone ?? null,
      name: null,
      unread: 0,
      replied: false,
      last_message: null,
      last_at: null,
    };
    if (old) this.#count(old, -1);
    if (message.direction === "out") this.#answer(key, known, message);
    else this.#hear(key, known, message);
    const now = this.#known.get(key);
    if (now && old) this.#count(now, 1);
    if (this.#belongs(message)) this.#view.add(key);
    this.#rows = null;
    // One we did not know may be an old one beyond the loaded page: then it has more unread than this message.
    return old && (this.isPlain || this.#view.has(key)) ? "changed" : "refresh";
  }

  /** @param {string} key @param {Conversation} known @param {Message} message */
  #hear(key, known, message) {
    const isNew = !known.last_message || compareMessages(known.last_message, message) <= 0;
    const counts = !message.is_read && !message.deleted_at;
    this.#known.set(key, {
      ...known,
      name: known.name ?? (isGroup(message.chat) ? null : (message.push_name ?? null)),
      unread: known.unread + (counts ? 1 : 0),
      ...(isNew ? { ...lastOf(message), replied: false, done: false } : {}),
      waiting_since: isNew ? (known.replied ? null : known.waiting_since) : known.waiting_since,
    });
  }

  /** @param {string} key @param {Conversation} known @param {Message} message */
  #answer(key, known, message) {
    const isNew = !known.last_message || compareMessages(known.last_message, message) <= 0;
    if (!isAnswer(message) || !isNew) return void this.#known.set(key, known);
    // Who answered on the phone has read it there.
    const isReadThere = message.origin === "phone";
    this.#known.set(key, {
      ...known,
      ...lastOf(message),
      replied: true,
      waiting_since: null,
      ...(isReadThere ? { unread: 0, marked_unread: false } : {}),
    });
    this.#rows = null;
  }

  /** Whether a conversation that just moved is in the list as it is asked for. @param {Message} message */
  #belongs(message) {
    if (this.query.search || (this.query.session !== null && this.query.session !== message.session_id)) return false;
    if (this.query.filter === "groups") return isGroup(message.chat);
    if (!isShown(message.chat)) return false;
    if (this.query.filter === "all") return true;
    return this.query.filter === "unread" && message.direction === "in" && !message.is_read;
  }
}

/** @param {Message} message */
function lastOf(message) {
  return { last_message: message, last_at: new Date(messageTime(message)).toISOString() };
}

/** @param {Conversation} conversation */
export function isUnread(conversation) {
  return conversation.unread > 0 || Boolean(conversation.marked_unread);
}

/** @param {Conversation} conversation */
export function isUnreplied(conversation) {
  return !conversation.replied && !conversation.done && conversation.last_message?.direction === "in";
}

/** Since when the customer waits, in ms, or null. @param {Conversation} conversation */
export function waitsSince(conversation) {
  if (!isUnreplied(conversation)) return null;
  const at = Date.parse(conversation.waiting_since ?? conversation.last_at ?? "");
  return Number.isNaN(at) ? null : at;
}
