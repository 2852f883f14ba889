/**
 * The scrolling part of a thread: bubbles, day lines, the unread line, and where the reader stands.
 *
 * At the end it follows new messages; scrolled up it stays and counts them; older pages do not move what is read.
 */

import { messageBubble } from "./bubble.js";
import { arrange, el } from "../shared/dom.js";
import { dayName, dayNumber } from "../shared/format.js";
import { icon } from "../shared/icons.js";
import { messageKey, messageTime } from "./order.js";
import { t } from "../shared/strings.js";

/** @import { Message } from "../shared/types.js" */

const NEAR_END_PX = 100;
const NEAR_START_PX = 200;
const GROUP_WITHIN_MS = 5 * 60_000;

export class MessageLog {
  /** @type {Map<string, {drawn: string, element: HTMLElement}>} */
  #bubbles = new Map();
  /** @type {Map<number, HTMLElement>} */
  #days = new Map();
  #unreadLine = el("p", { class: "wa-line wa-line-unread" });
  /** @type {string | null} the first unread message when the thread was opened */
  #unreadKey = null;
  #newCount = 0;
  #scroller;
  #log;
  #jump;

  /** @param {{older: () => void}} actions */
  constructor({ older }) {
    this.#log = el("div", { class: "wa-log", role: "log", tabindex: "0", data: { testid: "thread" } });
    this.#scroller = this.#log;
    this.#jump = el("button", {
      type: "button",
      class: "wa-button wa-jump",
      hidden: true,
      data: { testid: "new-messages" },
      onclick: () => this.toEnd(),
    });
    this.#scroller.addEventListener("scroll", () => this.#onScroll(older), { passive: true });
    // The window or the composer changed size: who was at the end stays there.
    let wasAtEnd = true;
    this.#scroller.addEventListener("scroll", () => (wasAtEnd = this.isAtEnd), { passive: true });
    new ResizeObserver(() => wasAtEnd && this.toEnd()).observe(this.#scroller);
    this.element = el("div", { class: "wa-log-frame" }, this.#log, this.#jump);
  }

  get isAtEnd() {
    const { scrollTop, clientHeight, scrollHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  /** Whether the first page is too short to be scrolled. */
  get hasRoom() {
    return this.#scroller.scrollHeight <= this.#scroller.clientHeight + NEAR_START_PX;
  }

  /** @param {string} name  of the other side */
  clear(name) {
    this.#bubbles.clear();
    this.#days.clear();
    this.#unreadKey = null;
    this.#count(0);
    this.#log.replaceChildren();
    this.#log.setAttribute("aria-label", t("thread.label", { name }));
  }

  /** A reader hears what arrives, not what is loaded. @param {boolean} busy */
  setBusy(busy) {
    this.#log.setAttribute("aria-live", busy ? "off" : "polite");
    this.#log.setAttribute("aria-busy", String(busy));
  }

  /**
   * The first display of a thread: at the first unread message, else at the end.
   *
   * @param {Message[]} messages @param {number} unread @param {{zone: string, now: number, who: string}} look
   */
  begin(messages, unread, look) {
    const incoming = messages.filter((message) => message.direction === "in" && !message.deleted_at);
    const first = unread > 0 ? incoming.at(-Math.min(unread, incoming.length)) : undefined;
    this.#unreadKey = first ? messageKey(first) : null;
    this.#unreadLine.textContent = t("thread.unread", { n: unread });
    this.#draw(messages, look);
    this.toEnd();
    if (!first) return;
    const top = this.#unreadLine.offsetTop - this.#log.offsetTop - 16;
    if (top < this.#scroller.scrollTop) this.#scroller.scrollTop = top;
  }

  /** @param {Message[]} messages @param {{zone: string, now: number, who: string}} look @param {{arrived?: boolean, own?: boolean}} [why] */
  render(messages, look, { arrived = false, own = false } = {}) {
    const follow = own || this.isAtEnd;
    this.#draw(messages, look);
    if (follow) this.toEnd();
    else if (arrived) this.#count(this.#newCount + 1);
  }

  /** Older messages come in above; what is being read does not move. @param {Message[]} messages @param {{zone: string, now: number, who: string}} look */
  renderOlder(messages, look) {
    const fromEnd = this.#scroller.scrollHeight - this.#scroller.scrollTop;
    this.#draw(messages, look);
    this.#scroller.scrollTop = this.#scroller.scrollHeight - fromEnd;
  }

  toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#count(0);
  }

  /** @param {() => void} older */
  #onScroll(older) {
    if (this.isAtEnd) this.#count(0);
    else this.#jump.hidden = false;
    if (this.#scroller.scrollTop < NEAR_START_PX) older();
  }

  /** @param {number} count */
  #count(count) {
    this.#newCount = count;
    this.#jump.hidden = count === 0 && this.isAtEnd;
    this.#jump.classList.toggle("wa-strong", count > 0);
    const words = count > 0 ? t("thread.new", { n: count }) : t("thread.newest");
    const label = el("span", { class: count > 0 ? "" : "wa-unseen" }, words);
    this.#jump.replaceChildren(icon("down"), label);
  }

  /** @param {Message[]} messages @param {{zone: string, now: number, who: string}} look */
  #draw(messages, look) {
    /** @type {HTMLElement[]} */
    const elements = [];
    /** @type {Message | null} */
    let above = null;
    let day = NaN;
    for (const message of messages) {
      const time = messageTime(message);
      const key = messageKey(message);
      const today = dayNumber(time, look.zone);
      if (today !== day) elements.push(this.#dayLine(today, dayName(time, look.now, look.zone)));
      if (key === this.#unreadKey) elements.push(this.#unreadLine);
      const near =
        above && above.direction === message.direction && time - messageTime(above) < GROUP_WITHIN_MS;
      elements.push(this.#bubble(key, message, Boolean(near) && today === day, look));
      day = today;
      above = message;
    }
    arrange(this.#log, elements);
  }

  /** @param {number} day @param {string} name */
  #dayLine(day, name) {
    const line = this.#days.get(day) ?? el("p", { class: "wa-line" });
    this.#days.set(day, line);
    if (line.textContent !== name) line.textContent = name;
    return line;
  }

  /** @param {string} key @param {Message} message @param {boolean} grouped @param {{zone: string, who: string}} look */
  #bubble(key, message, grouped, { zone, who }) {
    const drawn = JSON.stringify([message, grouped]);
    const known = this.#bubbles.get(key);
    if (known?.drawn === drawn) return known.element;
    const element = messageBubble(message, { zone, who, grouped });
    this.#bubbles.set(key, { drawn, element });
    return element;
  }
}
