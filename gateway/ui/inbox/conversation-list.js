/** The left side of the inbox: search, filter, session switcher, and the rows. Holds no data of its own. */

import { ConversationRow } from "./conversation-row.js";
import { arrange, debounced, el, fill } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { conversationKey } from "./order.js";
import { t } from "../shared/strings.js";

/** @import { Conversations, Query } from "./conversations.js" */
/** @import { Backend } from "../shared/backend.js" */

const SEARCH_AFTER_MS = 250;

/**
 * @typedef {object} ListActions
 * @property {(key: string) => void} open
 * @property {(query: Partial<Query>) => void} query
 * @property {() => void} more
 * @property {() => void} retry
 * @property {() => void} link
 */

export class ConversationList {
  /** @type {Map<string, ConversationRow>} */
  #rows = new Map();
  #backend;
  #actions;
  #list = el("ul", { class: "wa-rows", "aria-label": t("list.title") });
  #notice = el("div", { class: "wa-empty" });
  #found = el("p", { class: "wa-unseen", role: "status" });
  #search;
  #filter;
  #session;
  #scroller;

  /** @param {Backend} backend @param {ListActions} actions */
  constructor(backend, actions) {
    this.#backend = backend;
    this.#actions = actions;
    const search = debounced(() => actions.query({ search: this.#search.value.trim() }), SEARCH_AFTER_MS);
    this.#search = el("input", {
      type: "search",
      class: "wa-input",
      placeholder: t("list.search"),
      "aria-label": t("list.search.label"),
      dir: "auto",
      autocomplete: "off",
      data: { testid: "search" },
      oninput: search,
    });
    this.#filter = el(
      "select",
      { class: "wa-input", "aria-label": t("list.filter"), data: { testid: "filter" } },
      ...["all", "unread", "unreplied"].map((value) =>
        el("option", { value }, t(/** @type {"list.all"} */ (`list.${value}`))),
      ),
    );
    this.#filter.addEventListener("change", () =>
      actions.query({ filter: /** @type {Query["filter"]} */ (this.#filter.value) }),
    );
    this.#session = el("select", {
      class: "wa-input",
      "aria-label": t("list.session"),
      data: { testid: "session-filter" },
      hidden: true,
    });
    this.#session.addEventListener("change", () =>
      actions.query({ session: this.#session.value ? Number(this.#session.value) : null }),
    );
    this.#scroller = el(
      "div",
      { class: "wa-list-scroll", data: { testid: "conversation-list" } },
      this.#notice,
      this.#list,
    );
    this.#scroller.addEventListener("scroll", () => this.#nearEnd() && actions.more(), { passive: true });
    this.#list.addEventListener("keydown", (event) => this.#walk(event));
    this.element = el(
      "section",
      { class: "wa-list", "aria-label": t("list.title") },
      el(
        "div",
        { class: "wa-list-tools" },
        el("label", { class: "wa-search" }, icon("search"), this.#search),
        this.#filter,
        this.#session,
      ),
      this.#scroller,
      this.#found,
    );
  }

  #nearEnd() {
    const { scrollTop, clientHeight, scrollHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < 300;
  }

  /** @param {KeyboardEvent} event  arrows, Home and End move between rows */
  #walk(event) {
    const buttons = [...this.#list.querySelectorAll("button")];
    const at = buttons.findIndex((button) => button === document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined || !buttons[to]) return;
    event.preventDefault();
    buttons[to].focus();
  }

  /** @param {Conversations} data @param {{selected: string | null, state: "loading" | "loaded" | "failed"}} look */
  render(data, { selected, state }) {
    const sessions = this.#backend.sessions.list();
    this.#showSessions(data.query.session);
    const rows = state === "failed" ? [] : data.rows(selected);
    const many = sessions.length > 1 && data.query.session === null;
    const now = this.#backend.rest.now();
    const elements = rows.map((conversation) => {
      const key = conversationKey(conversation);
      const row = this.#rows.get(key) ?? new ConversationRow(conversation, this.#actions.open);
      this.#rows.set(key, row);
      const id = conversation.session_id;
      const sessionName = many ? (id === 0 ? t("list.unassigned") : this.#backend.sessions.nameOf(id)) : null;
      row.update(conversation, { zone: this.#backend.zone, now, selected: key === selected, sessionName });
      return row.element;
    });
    arrange(this.#list, elements);
    this.#list.hidden = !rows.length;
    this.#showNotice(data, rows.length, state);
  }

  /** @param {number | null} chosen */
  #showSessions(chosen) {
    const sessions = this.#backend.sessions.list();
    this.#session.hidden = sessions.length < 2;
    const options = [
      ["", t("list.sessions")],
      ...sessions.map((session) => [String(session.id), session.name]),
    ];
    const text = JSON.stringify(options);
    if (this.#session.dataset.options !== text) {
      this.#session.dataset.options = text;
      fill(this.#session, ...options.map(([value, name]) => el("option", { value }, name)));
    }
    this.#session.value = chosen === null ? "" : String(chosen);
  }

  /** @param {Conversations} data @param {number} count @param {"loading" | "loaded" | "failed"} state */
  #showNotice(data, count, state) {
    this.#found.textContent = state === "loaded" && !data.isPlain ? t("list.found", { n: count }) : "";
    this.#notice.hidden = count > 0;
    if (count > 0) return;
    const store = this.#backend.sessions;
    const first = store.state === "loaded" && !store.list().length && data.isPlain;
    const kind = state === "loaded" ? (first ? "first" : data.isPlain ? "empty" : "nothing") : state;
    if (this.#notice.dataset.kind === kind) return;
    this.#notice.dataset.kind = kind;
    fill(this.#notice, ...this.#notices(kind));
  }

  /** @param {string} kind @returns {import("../shared/dom.js").Child[]} */
  #notices(kind) {
    /** @param {() => void} run @param {string} text */
    const button = (run, text) =>
      el("button", { type: "button", class: "wa-button wa-strong", onclick: run }, text);
    switch (kind) {
      case "loading":
        return [icon("spinner"), el("p", {}, t("list.loading"))];
      case "failed":
        return [icon("alert"), el("h3", {}, t("list.error")), button(this.#actions.retry, t("action.retry"))];
      case "first":
        return [
          icon("phone"),
          el("h3", {}, t("list.first")),
          el("p", {}, t("list.first.hint")),
          button(this.#actions.link, t("list.first.button")),
        ];
      case "nothing":
        return [icon("search"), el("h3", {}, t("list.nothing")), el("p", {}, t("list.nothing.hint"))];
      default:
        return [icon("chat"), el("h3", {}, t("list.empty")), el("p", {}, t("list.empty.hint"))];
    }
  }
}
