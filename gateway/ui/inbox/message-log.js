/**
 * The scrolling part of a thread: bubbles, day lines, the unread line, and where the reader stands.
 *
 * However many messages are loaded, at most `MOST` of them are in the document: those around what is read. At the end
 * it follows new messages; scrolled up it stays, to the pixel, and counts them.
 */

import { isSameContent, messageBubble, refreshBubble } from "./bubble.js";
import { messageKey, messageTime } from "./order.js";
import { el } from "../common/dom.js";
import { KeyedList, LiveElement } from "../common/element.js";
import { dayName, dayNumber } from "../common/format.js";
import { icon } from "../common/icons.js";
import { t } from "../common/strings.js";

/** @import { BubbleActions } from "./attachment.js" */
/** @import { Look } from "./bubble.js" */
/** @import { Messages } from "./messages.js" */
/** @import { Message } from "../common/types.js" */

const NEAR_END_PX = 100;
const REACH_PX = 700;
const MOST = 120;
const STEP = 40;
const GROUP_WITHIN_MS = 5 * 60_000;
const SECOND_MS = 1000;

/**
 * @typedef {{kind: "day", name: string} | {kind: "unread", text: string}
 *   | {kind: "message", message: Message, grouped: boolean, look: Look}} Entry
 * @typedef {BubbleActions & {older: () => void, newer: () => void, newest: () => void, atEnd: () => void}} LogActions
 * @typedef {{key: string, offset: number}} Place  a message, and how far below the top edge it stands
 */

export class MessageLog extends LiveElement {
  /** @type {Messages | null} */
  #messages = null;
  /** @type {Look | null} */
  #look = null;
  #actions;
  /** The first message in the document. @type {string | null} */
  #firstKey = null;
  /** The last one, where the end is not followed. @type {string | null} */
  #lastKey = null;
  #isAtEnd = true;
  /** `scrollTop` when it was last looked at, in px: less than that is a reader who scrolls up. */
  #top = 0;
  /** The first unread message when the thread was opened. @type {string | null} */
  #unreadKey = null;
  #unread = 0;
  #newCount = 0;
  /** Keys that were there when the thread was opened: others rise as they come. @type {Set<string> | null} */
  #settled = null;
  /** Where to stand after the next drawing. @type {Place | null} */
  #goal = null;
  #log = el("div", { class: "wa-log", role: "log", tabindex: "0", data: { testid: "thread" } });
  #column = el("div", { class: "wa-column" });
  #jump = el("button", { type: "button", class: "wa-jump", hidden: true, data: { testid: "new-messages" } });
  #list = new KeyedList(this.#column, (entry, old) => this.#make(entry, old));

  /** @param {LogActions} actions */
  constructor(actions) {
    super();
    this.#actions = actions;
  }

  begin() {
    this.className = "wa-log-frame";
    this.#log.replaceChildren(this.#column);
    this.replaceChildren(this.#log, this.#jump);
    this.on(this.#log, "scroll", () => this.#onScroll(), { passive: true });
    this.on(this.#jump, "click", () => this.toEnd());
    const watcher = new ResizeObserver(() => this.#isAtEnd && this.#stickToEnd());
    watcher.observe(this.#log);
    watcher.observe(this.#column);
    this.ends(() => watcher.disconnect());
    this.every(SECOND_MS, () => this.#tick());
  }

  get isAtEnd() {
    return this.#isAtEnd;
  }

  /** Where the reader stands, to come back to; null at the end. @returns {Place | null} */
  get place() {
    return this.#isAtEnd ? null : this.#anchor();
  }

  /**
   * Shows a thread from its beginning here: at a place, else at the first unread message, else at the end.
   *
   * @param {Messages} messages @param {Look} look @param {{unread: number, place: Place | null}} where
   */
  open(messages, look, { unread, place }) {
    this.#messages = messages;
    this.#look = look;
    this.#log.setAttribute("aria-label", t("thread.label", { name: look.who }));
    const list = messages.list();
    const incoming = list.filter((message) => message.direction === "in" && !message.deleted_at);
    const first = unread > 0 ? incoming.at(-Math.min(unread, incoming.length)) : undefined;
    this.#unread = unread;
    this.#unreadKey = first ? messageKey(first) : null;
    this.#settled = new Set(list.map(messageKey));
    this.#goal = place ?? (first && this.#isFarFromEnd(first) ? { key: messageKey(first), offset: 56 } : null);
    this.#isAtEnd = !this.#goal;
    this.#top = 0;
    this.#around(this.#goal?.key ?? null);
    this.#count(0);
    this.#quietly(() => this.draw());
    if (this.#isAtEnd) this.#stickToEnd();
  }

  /** @param {Message} first */
  #isFarFromEnd(first) {
    const messages = /** @type {Messages} */ (this.#messages);
    return messages.size - messages.indexOf(messageKey(first)) > 3;
  }

  clear() {
    this.#messages = null;
    this.#list.show([]);
    this.#count(0);
  }

  /** Names or rights may have changed. @param {Look} look */
  dress(look) {
    const isSame = this.#look && look.who === this.#look.who && look.canWrite === this.#look.canWrite;
    if (isSame) return;
    this.#look = look;
    this.redraw();
  }

  /** Something has come that the reader does not see. @param {number} many */
  arrived(many) {
    if (!this.#isAtEnd) this.#count(this.#newCount + many);
  }

  /** Older or newer messages were loaded: what is read does not move. */
  grown() {
    this.#quietly(() => {
      this.draw();
      this.#onScroll();
    });
  }

  toEnd() {
    if (this.#messages?.hasAfter) return this.#actions.newest();
    this.#isAtEnd = true;
    this.#around(null);
    this.#count(0);
    this.draw();
    this.#stickToEnd();
    this.#actions.atEnd();
  }

  /** Shows a loaded message in the middle, and marks it for a moment. @param {string} key */
  jumpTo(key) {
    if (!this.#messages?.get(key)) return;
    this.#isAtEnd = false;
    this.#around(key);
    this.#goal = { key, offset: Math.max(40, this.#log.clientHeight / 2 - 60) };
    this.#quietly(() => this.draw());
    const element = this.#list.get(key);
    element?.classList.remove("wa-found");
    requestAnimationFrame(() => element?.classList.add("wa-found"));
  }

  focusLog() {
    this.#log.focus({ preventScroll: true });
  }

  // ------------------------------------------------------------------------------------------ which part

  /** Chooses the messages around one, or the newest. @param {string | null} key */
  #around(key) {
    const list = this.#messages?.list() ?? [];
    const at = key === null ? -1 : (this.#messages?.indexOf(key) ?? -1);
    const from = at < 0 ? Math.max(0, list.length - STEP * 2) : Math.max(0, at - STEP);
    const to = at < 0 ? list.length : Math.min(list.length, from + MOST);
    this.#firstKey = list[from] ? messageKey(list[from]) : null;
    this.#lastKey = at < 0 || to === list.length || !list[to - 1] ? null : messageKey(list[to - 1]);
  }

  /** The part of the list that is in the document. @returns {[number, number]} */
  #range() {
    const messages = /** @type {Messages} */ (this.#messages);
    const size = messages.size;
    let to = this.#lastKey === null ? size : messages.indexOf(this.#lastKey) + 1;
    if (to === 0) to = size;
    let from = this.#firstKey === null ? 0 : messages.indexOf(this.#firstKey);
    if (from < 0) from = Math.max(0, to - STEP * 2);
    if (to - from > MOST && this.#isAtEnd) from = to - STEP * 2;
    if (to - from > MOST) to = from + MOST;
    this.#remember(from, to);
    return [from, to];
  }

  /** @param {number} from @param {number} to */
  #remember(from, to) {
    const list = this.#messages?.list() ?? [];
    this.#firstKey = list[from] ? messageKey(list[from]) : null;
    this.#lastKey = to >= list.length || !list[to - 1] ? null : messageKey(list[to - 1]);
  }

  #onScroll() {
    const messages = this.#messages;
    if (!messages) return;
    const { scrollTop, clientHeight, scrollHeight } = this.#log;
    const below = scrollHeight - scrollTop - clientHeight;
    const [from, to] = this.#range();
    const wasAtEnd = this.#isAtEnd;
    // A scroll event comes before the observer of sizes: where frames are late, the log has grown by then, and the reader has not moved.
    if (wasAtEnd && below >= NEAR_END_PX && scrollTop >= this.#top) return this.#stickToEnd();
    this.#top = scrollTop;
    this.#isAtEnd = below < NEAR_END_PX && to === messages.size && !messages.hasAfter;
    if (this.#isAtEnd && (!wasAtEnd || this.#newCount > 0)) this.#actions.atEnd();
    this.#count(this.#isAtEnd ? 0 : this.#newCount);
    if (scrollTop < REACH_PX && from > 0) {
      const first = Math.max(0, from - STEP);
      this.#isAtEnd = false;
      this.#shift(first, Math.min(to, first + MOST));
    } else if (below < REACH_PX && to < messages.size) {
      const last = Math.min(messages.size, to + STEP);
      this.#shift(Math.max(from, last - MOST), last);
    } else if (scrollTop < REACH_PX && messages.hasBefore) this.#actions.older();
    else if (below < REACH_PX && messages.hasAfter) this.#actions.newer();
  }

  /** @param {number} from @param {number} to */
  #shift(from, to) {
    this.#goal = this.#anchor();
    this.#remember(from, to);
    this.#quietly(() => this.draw());
  }

  // ------------------------------------------------------------------------------------------ where

  /** The first message that can be seen. @returns {Place | null} */
  #anchor() {
    const top = this.#log.scrollTop;
    for (const child of /** @type {Iterable<HTMLElement>} */ (this.#column.children)) {
      if (!child.dataset.key || child.offsetTop + child.offsetHeight <= top) continue;
      return { key: child.dataset.key, offset: child.offsetTop - top };
    }
    return null;
  }

  #stickToEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  /** @param {Place | null} goal */
  #stand(goal) {
    const element = goal && this.#list.get(goal.key);
    if (element) this.#log.scrollTop = element.offsetTop - goal.offset;
  }

  // ------------------------------------------------------------------------------------------ drawing

  draw() {
    if (!this.#messages || !this.#look) return;
    const goal = this.#isAtEnd ? null : (this.#goal ?? this.#anchor());
    this.#goal = null;
    const [from, to] = this.#range();
    this.#list.show(this.#entries(from, to), sameEntry);
    // At the end the observer of sizes sticks to it, after the layout that comes anyway: here it would be one more.
    if (!this.#isAtEnd) this.#stand(goal);
  }

  /** @param {number} from @param {number} to @returns {[string, Entry][]} */
  #entries(from, to) {
    const list = /** @type {Messages} */ (this.#messages).list();
    const look = /** @type {Look} */ (this.#look);
    /** @type {[string, Entry][]} */
    const entries = [];
    let above = list[from - 1];
    let day = above ? this.#dayOf(above, look.zone) : NaN;
    if (from === to - 1 || from === 0) day = NaN;
    for (let at = from; at < to; at += 1) {
      const message = list[at];
      const key = messageKey(message);
      const time = messageTime(message);
      const today = this.#dayOf(message, look.zone);
      if (today !== day) entries.push([`day ${today}`, { kind: "day", name: dayName(time, look.now(), look.zone) }]);
      if (key === this.#unreadKey)
        entries.push(["unread", { kind: "unread", text: t("thread.unread", { n: this.#unread }) }]);
      const grouped = today === day && key !== this.#unreadKey && isRun(above, message);
      entries.push([key, { kind: "message", message, grouped, look }]);
      day = today;
      above = message;
    }
    return entries;
  }

  /** The day of each message, reckoned once. @type {WeakMap<Message, number>} */
  #days = new WeakMap();

  /** @param {Message} message @param {string} zone */
  #dayOf(message, zone) {
    let day = this.#days.get(message);
    if (day === undefined) this.#days.set(message, (day = dayNumber(messageTime(message), zone)));
    return day;
  }

  /** @param {Entry} entry @param {HTMLElement | undefined} old */
  #make(entry, old) {
    if (entry.kind === "day") return el("p", { class: "wa-line" }, entry.name);
    if (entry.kind === "unread") return el("p", { class: "wa-line wa-line-unread" }, el("span", {}, entry.text));
    const { message, grouped, look } = entry;
    const key = messageKey(message);
    const shown = old && this.#shown.get(old);
    if (old && shown && shown.grouped === grouped && shown.look === look && isSameContent(shown.message, message)) {
      refreshBubble(old, message, look, this.#actions);
      this.#shown.set(old, entry);
      return old;
    }
    const isNew = !old && this.#settled !== null && !this.#settled.has(key);
    this.#settled?.add(key);
    const element = messageBubble(message, look, { grouped, isFirst: isNew }, this.#actions);
    element.dataset.key = key;
    this.#shown.set(element, entry);
    return element;
  }

  /** What each bubble was last drawn from. @type {WeakMap<HTMLElement, Extract<Entry, {kind: "message"}>>} */
  #shown = new WeakMap();

  /** The seconds of what waits to be sent run down. */
  #tick() {
    for (const waiting of this.#column.querySelectorAll('[data-status="queued"]')) {
      const entry = this.#shown.get(/** @type {HTMLElement} */ (waiting));
      if (entry) refreshBubble(/** @type {HTMLElement} */ (waiting), entry.message, entry.look, this.#actions);
    }
  }

  /** A screen reader hears what arrives, not what is loaded. @param {() => void} run */
  #quietly(run) {
    this.#log.setAttribute("aria-busy", "true");
    this.#log.setAttribute("aria-live", "off");
    run();
    setTimeout(() => {
      this.#log.setAttribute("aria-live", "polite");
      this.#log.setAttribute("aria-busy", "false");
    }, 50);
  }

  /** @param {number} count */
  #count(count) {
    const isHidden = this.#isAtEnd || !this.#messages;
    if (count === this.#newCount && this.#jump.hidden === isHidden && this.#jump.firstChild) return;
    this.#newCount = count;
    this.#jump.hidden = isHidden;
    this.#jump.classList.toggle("wa-strong", count > 0);
    const words = count > 0 ? t("thread.new", { n: count }) : t("thread.newest");
    this.#jump.replaceChildren(icon("down"), el("span", { class: count > 0 ? "" : "wa-unseen" }, words));
  }
}

/** Whether a message goes on where the one above ended. @param {Message | undefined} above @param {Message} message */
function isRun(above, message) {
  if (!above || above.direction !== message.direction || above.from_phone !== message.from_phone) return false;
  return messageTime(message) - messageTime(above) < GROUP_WITHIN_MS;
}

/** @param {Entry} a @param {Entry} b */
function sameEntry(a, b) {
  if (a.kind === "day" && b.kind === "day") return a.name === b.name;
  if (a.kind === "unread" && b.kind === "unread") return a.text === b.text;
  if (a.kind !== "message" || b.kind !== "message") return false;
  return a.message === b.message && a.grouped === b.grouped && a.look === b.look;
}

customElements.define("wa-message-log", MessageLog);
