/**
 * The left side of the inbox: search, filters with counts, and the rows. Holds no data of its own.
 *
 * Only the rows near what can be seen are in the document. A row under the pointer or with the focus stays where it is:
 * what moves past it is told by a "2 new" button, and stands in its place when the pointer has gone.
 */

import { draftOf } from "./drafts.js";
import { ListTools } from "./list-tools.js";
import { conversationRow, rowTimes } from "./conversation-row.js";
import { listNotice } from "./list-notice.js";
import { compareConversations, conversationKey } from "./order.js";
import { SearchHits } from "./search-hits.js";
import { presenceText } from "./thread-head.js";
import { el, fill } from "../common/dom.js";
import { KeyedList, LiveElement } from "../common/element.js";
import { icon } from "../common/icons.js";
import { t } from "../common/strings.js";

/** @import { RowLook } from "./conversation-row.js" */
/** @import { Conversations, Query } from "./conversations.js" */
/** @import { Presence } from "./presence.js" */
/** @import { Hit } from "./search-hits.js" */
/** @import { Backend } from "../common/backend.js" */
/** @import { Conversation } from "../common/types.js" */

const ROW_PX = 68;
const MARGIN_ROWS = 12;
const MORE_AFTER_PX = 600;

/**
 * @typedef {object} ListActions
 * @property {(key: string) => void} open
 * @property {(query: Partial<Query>) => void} query
 * @property {() => void} more
 * @property {() => void} retry
 * @property {() => void} link
 * @property {() => void} write
 * @property {(hit: Hit) => void} openHit
 *
 * @typedef {{selected: string | null, state: "loading" | "loaded" | "failed", hits: Hit[] | null, canBeSeen: boolean}} ListLook
 * @typedef {{conversation: Conversation, look: RowLook, at: number, of: number, key: string}} Entry
 */

export class ConversationList extends LiveElement {
  #backend;
  #actions;
  #data;
  #presence;
  /** @type {ListLook} */
  #look = { selected: null, state: "loading", hits: null, canBeSeen: false };
  /** The row under the pointer or with the focus, and the moment it is sorted by meanwhile. @type {{key: string, last_at: string | null} | null} */
  #held = null;
  #hovered = "";
  #isPressed = false;
  /** The keys in the order last drawn. @type {string[]} */
  #order = [];
  /** Rows that came in above while something was held. */
  #pushed = 0;
  #rowPx = ROW_PX;
  #list = el("ul", { class: "wa-rows" });
  #notice = el("div", { class: "wa-empty" });
  #found = el("p", { class: "wa-unseen", role: "status" });
  #pill = el("button", { type: "button", class: "wa-jump wa-list-pill wa-strong", hidden: true, data: { testid: "new-rows" } });
  #scroller = el("div", { class: "wa-list-scroll", data: { testid: "conversation-list" } });
  #rows;
  #tools;
  #hits;

  /** @param {Backend} backend @param {Conversations} data @param {Presence} presence @param {ListActions} actions */
  constructor(backend, data, presence, actions) {
    super();
    this.#backend = backend;
    this.#actions = actions;
    this.#data = data;
    this.#presence = presence;
    this.#rows = new KeyedList(this.#list, (/** @type {Entry} */ entry, old) => this.#make(entry, old));
    this.#tools = new ListTools(backend, actions);
    this.#hits = new SearchHits(backend, (hit) => actions.openHit(hit));
  }

  begin() {
    this.className = "wa-list";
    this.setAttribute("role", "region");
    this.setAttribute("aria-label", t("list.title"));
    this.#list.setAttribute("aria-label", t("list.title"));
    fill(this.#scroller, this.#notice, this.#list, this.#hits.element);
    const frame = el("div", { class: "wa-list-frame" }, this.#scroller, this.#pill);
    this.replaceChildren(this.#tools.element, frame, this.#found);
    this.#tools.begin();
    this.on(this.#scroller, "scroll", () => this.#onScroll(), { passive: true });
    this.on(this.#pill, "click", () => this.toTop());
    this.on(this.#list, "keydown", (event) => this.#walk(event));
    this.on(this.#scroller, "pointerover", (event) => this.#onPointer(event));
    this.on(this.#scroller, "pointerleave", (event) => this.#onLeave(event));
    this.on(document, "pointermove", (event) => this.#hovered && this.#onLeave(event), { passive: true });
    // What is pressed is not drawn anew before it is let go: a click needs one and the same element for both.
    this.on(this.#list, "pointerdown", () => (this.#isPressed = true));
    for (const type of ["pointerup", "pointercancel"]) this.on(document, type, () => this.#release());
    this.on(this.#list, "focusin", () => this.#hold());
    this.on(this.#list, "focusout", () => queueMicrotask(() => this.#hold()));
    const watcher = new ResizeObserver(() => this.redraw());
    watcher.observe(this.#scroller);
    this.ends(() => watcher.disconnect());
  }

  /** @param {ListLook} look */
  show(look) {
    this.#look = look;
    this.redraw();
  }

  focusSearch() {
    this.#tools.focusSearch();
  }

  focusRows() {
    const row = this.#list.querySelector('[aria-current="true"]') ?? this.#list.querySelector("button");
    if (row instanceof HTMLElement) row.focus();
  }

  /** The conversation above or below the open one. @param {1 | -1} by */
  neighbour(by) {
    const at = this.#order.indexOf(this.#look.selected ?? "");
    return this.#order[at < 0 ? 0 : at + by] ?? null;
  }

  toTop() {
    this.#pushed = 0;
    this.#scroller.scrollTop = 0;
    this.draw();
  }

  // ------------------------------------------------------------------------------------------ holding still

  /** Browsers also say that the pointer has left where what was under it was taken away. @param {PointerEvent} event */
  #onLeave(event) {
    const { left, right, top, bottom } = this.#scroller.getBoundingClientRect();
    const { clientX: x, clientY: y } = event;
    if (x <= left || x >= right || y <= top || y >= bottom) this.#onPointer(null);
  }

  /** @param {PointerEvent | null} event */
  #onPointer(event) {
    if (event && event.pointerType === "touch") return;
    const row = event?.target instanceof Element ? event.target.closest("[data-key]") : null;
    this.#hovered = row instanceof HTMLElement ? (row.dataset.key ?? "") : "";
    this.#hold();
  }

  #hold() {
    const root = /** @type {Document | ShadowRoot} */ (this.getRootNode());
    const focused = root.activeElement?.closest?.("[data-key]");
    const isFocused = focused instanceof HTMLElement && this.#list.contains(focused) && focused.matches(":has(:focus-visible)");
    const key = this.#hovered || (isFocused ? (focused.dataset.key ?? "") : "");
    if (key === (this.#held?.key ?? "")) return;
    this.#held = key ? { key, last_at: this.#data.get(key)?.last_at ?? null } : null;
    if (!key && this.#pushed > 0) this.toTop();
    else this.redraw();
  }

  /** Newest first; what is held stands where it stood. @returns {Conversation[]} */
  #sorted() {
    const rows = this.#data.rows(this.#look.selected);
    const held = this.#held;
    const own = held && rows.find((row) => conversationKey(row) === held.key);
    if (!held || !own || own.last_at === held.last_at) return rows;
    const others = rows.filter((row) => row !== own);
    const frozen = { ...own, last_at: held.last_at };
    const at = others.findIndex((row) => compareConversations(frozen, row) < 0);
    others.splice(at < 0 ? others.length : at, 0, own);
    return others;
  }

  #release() {
    if (!this.#isPressed) return;
    // After the click, which follows the release.
    setTimeout(() => {
      this.#isPressed = false;
      this.redraw();
    });
  }

  // ------------------------------------------------------------------------------------------ drawing

  draw() {
    if (this.#isPressed) return;
    const { state, hits } = this.#look;
    const rows = state === "failed" ? [] : this.#sorted();
    const keys = rows.map(conversationKey);
    const anchor = this.#anchorKey();
    const before = anchor ? this.#order.indexOf(anchor) : -1;
    const after = anchor ? keys.indexOf(anchor) : -1;
    this.#order = keys;
    const moved = before >= 0 && after >= 0 ? after - before : 0;
    const top = Math.max(0, this.#scroller.scrollTop + moved * this.#rowPx);
    this.#drawRows(rows, keys, top);
    if (state === "loaded" && rows.length * this.#rowPx - top - this.#scroller.clientHeight < MORE_AFTER_PX) this.#actions.more();
    if (moved !== 0) this.#push(moved);
    this.#list.hidden = !rows.length;
    this.#hits.show(hits, this.#data.query.search);
    this.#tools.show(this.#data);
    this.#showNotice(rows.length, hits?.length ?? 0);
    this.#showPill();
  }

  /** What must not move on the screen. */
  #anchorKey() {
    if (this.#held) return this.#held.key;
    const top = this.#scroller.scrollTop;
    return top > this.#rowPx / 2 ? (this.#order[Math.floor(top / this.#rowPx)] ?? null) : null;
  }

  /** @param {number} moved  rows that came in above what must not move */
  #push(moved) {
    const wasAtTop = this.#scroller.scrollTop < 2;
    this.#scroller.scrollTop += moved * this.#rowPx;
    if (moved > 0 && (wasAtTop || this.#pushed > 0 || !this.#held)) this.#pushed += moved;
  }

  /** @param {Conversation[]} rows @param {string[]} keys @param {number} top */
  #drawRows(rows, keys, top) {
    const height = this.#scroller.clientHeight || 800;
    const first = Math.max(0, Math.floor(top / this.#rowPx) - MARGIN_ROWS);
    const last = Math.min(rows.length, Math.ceil((top + height) / this.#rowPx) + MARGIN_ROWS);
    const at = { now: this.#backend.rest.now(), zone: this.#backend.zone };
    /** @type {[string, Entry][]} */
    const entries = [];
    for (let index = first; index < last; index += 1) {
      const conversation = rows[index];
      const key = keys[index];
      entries.push([key, { conversation, key, look: this.#rowLook(conversation, key, at), at: index + 1, of: rows.length }]);
    }
    this.#rows.show(entries, sameEntry);
    for (const [key, { at: place, of }] of entries) {
      const row = this.#rows.get(key);
      if (row?.ariaPosInSet === String(place) && row.ariaSetSize === String(of)) continue;
      row?.setAttribute("aria-posinset", String(place));
      row?.setAttribute("aria-setsize", String(of));
    }
    // Room below, so that a list that is too short to scroll can still hold a row in its place.
    const room = this.#pushed > 0 || this.#held ? Math.max(0, top + height - rows.length * this.#rowPx) : 0;
    this.#list.style.paddingBlockStart = `${first * this.#rowPx}px`;
    this.#list.style.paddingBlockEnd = `${Math.max(0, rows.length - last) * this.#rowPx + room}px`;
    const measured = this.#list.querySelector("li")?.getBoundingClientRect().height;
    if (measured && Math.abs(measured - this.#rowPx) > 0.5) {
      this.#rowPx = measured; // larger letters make larger rows
      this.redraw();
    }
  }

  /** @param {Conversation} conversation @param {string} key @param {{now: number, zone: string}} at @returns {RowLook} */
  #rowLook(conversation, key, at) {
    const { sessions } = this.#backend;
    const many = sessions.list().length > 1 && this.#data.query.session === null;
    const selected = key === this.#look.selected;
    return {
      ...rowTimes(conversation, at),
      selected,
      quiet: selected && this.#look.canBeSeen,
      hue: sessions.hueOf(conversation.session_id),
      sessionName: many ? sessions.nameOf(conversation.session_id) : null,
      draft: selected ? "" : draftOf(key).text.slice(0, 120),
      presence: presenceText(this.#presence.of(key)),
      zone: at.zone,
      highlight: this.#data.query.search,
    };
  }

  /** @param {Entry} entry @param {HTMLElement | undefined} old */
  #make({ conversation, look, key }, old) {
    const place = conversationRow(conversation, look, this.#actions.open, key);
    place.dataset.key = key;
    if (!old) return place;
    // The same button stays, so that focus and hover are left alone.
    const [had, has] = [old.querySelector("button"), place.querySelector("button")];
    if (!had || !has) return place;
    for (const name of had.getAttributeNames()) if (!has.hasAttribute(name)) had.removeAttribute(name);
    for (const name of has.getAttributeNames()) had.setAttribute(name, has.getAttribute(name) ?? "");
    had.replaceChildren(...has.childNodes);
    return old;
  }

  #showPill() {
    if (this.#scroller.scrollTop < 2) this.#pushed = 0;
    this.#pill.hidden = this.#pushed === 0;
    if (this.#pushed > 0) fill(this.#pill, icon("up"), t("list.new", { n: this.#pushed }));
  }

  /** @param {number} count @param {number} hits */
  #showNotice(count, hits) {
    const { state } = this.#look;
    const isSearch = Boolean(this.#data.query.search);
    const said = isSearch && state === "loaded" ? [t("list.found", { n: count }), t("list.found.messages", { n: hits })] : [];
    const text = said.join(", ");
    if (this.#found.textContent !== text) this.#found.textContent = text;
    this.#notice.hidden = count > 0 || hits > 0;
    if (this.#notice.hidden) return;
    const store = this.#backend.sessions;
    const isFirst = store.state === "loaded" && !store.list().length && this.#data.isPlain;
    const kind = state === "loaded" ? (isFirst ? "first" : isSearch ? "nothing" : this.#data.query.filter) : state;
    if (this.#notice.dataset.kind === kind) return;
    this.#notice.dataset.kind = kind;
    fill(this.#notice, ...listNotice(kind, this.#actions));
  }

  // ------------------------------------------------------------------------------------------ moving

  #onScroll() {
    this.redraw();
  }

  /** @param {KeyboardEvent} event  arrows, Home and End move between rows */
  #walk(event) {
    const focused = /** @type {Element} */ (event.target).closest("[data-key]");
    const at = this.#order.indexOf(focused instanceof HTMLElement ? (focused.dataset.key ?? "") : "");
    const last = this.#order.length - 1;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last, PageDown: at + 8, PageUp: at - 8 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const index = Math.min(last, Math.max(0, to));
    const top = index * this.#rowPx;
    const { scrollTop, clientHeight } = this.#scroller;
    if (top < scrollTop) this.#scroller.scrollTop = top;
    else if (top + this.#rowPx > scrollTop + clientHeight) this.#scroller.scrollTop = top + this.#rowPx - clientHeight;
    this.#held = null;
    this.draw();
    this.#rows.get(this.#order[index])?.querySelector("button")?.focus();
  }
}

/** @param {Entry} a @param {Entry} b */
function sameEntry(a, b) {
  if (a.conversation !== b.conversation) return false;
  return /** @type {(keyof RowLook)[]} */ (Object.keys(a.look)).every((name) => a.look[name] === b.look[name]);
}

customElements.define("wa-conversation-list", ConversationList);
