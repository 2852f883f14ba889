/** Above the rows: the title, the number, the search, and the filters with their counts. */

import { debounced, el, fill } from "../common/dom.js";
import { icon } from "../common/icons.js";
import { t } from "../common/strings.js";

/** @import { ListActions } from "./conversation-list.js" */
/** @import { Conversations, Filter } from "./conversations.js" */
/** @import { Backend } from "../common/backend.js" */

const SEARCH_AFTER_MS = 250;
const FILTERS = /** @type {Filter[]} */ (["all", "unread", "unreplied", "mine", "free", "groups", "done"]);

export class ListTools {
  element = el("div", { class: "wa-list-tools" });
  #backend;
  #actions;
  /** @type {Map<Filter, HTMLButtonElement>} */
  #chips = new Map();
  #search = el("input", { type: "search", class: "wa-search-input", dir: "auto", autocomplete: "off", enterkeyhint: "search", data: { testid: "search" } });
  #session = el("select", { class: "wa-number-choice", hidden: true, data: { testid: "session-filter" } });

  /** @param {Backend} backend @param {ListActions} actions */
  constructor(backend, actions) {
    this.#backend = backend;
    this.#actions = actions;
    const search = debounced(() => actions.query({ search: this.#search.value.trim() }), SEARCH_AFTER_MS);
    this.#search.addEventListener("input", search);
    this.#search.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.#search.value) return;
      event.stopPropagation();
      this.#search.value = "";
      actions.query({ search: "" });
    });
    this.#session.addEventListener("change", () =>
      actions.query({ session: this.#session.value ? Number(this.#session.value) : null }),
    );
  }

  begin() {
    this.#search.placeholder = t("list.search");
    this.#search.setAttribute("aria-label", t("list.search.label"));
    this.#session.setAttribute("aria-label", t("list.session"));
    this.#session.dataset.options = "";
    this.#chips = new Map(FILTERS.map((filter) => [filter, this.#chip(filter)]));
    const write = el(
      "button",
      {
        type: "button",
        class: "wa-square wa-ghost wa-new-chat",
        "aria-label": t("list.new_chat"),
        title: t("list.new_chat"),
        hidden: true,
        onclick: () => this.#actions.write(),
      },
      icon("pen"),
    );
    fill(
      this.element,
      el("div", { class: "wa-list-title" }, el("h2", {}, t("app.title")), this.#session, write),
      el("label", { class: "wa-search" }, icon("search"), this.#search),
      el(
        "div",
        { class: "wa-chips", role: "group", "aria-label": t("list.filter"), data: { testid: "filter" } },
        ...this.#chips.values(),
      ),
    );
  }

  /** @param {Filter} filter */
  #chip(filter) {
    return el(
      "button",
      { type: "button", class: "wa-chip", data: { filter }, onclick: () => this.#actions.query({ filter }) },
      el("span", {}, t(/** @type {"list.all"} */ (`list.${filter}`))),
      el("b", {}),
    );
  }

  focusSearch() {
    this.#search.focus();
    this.#search.select();
  }

  /** @param {Conversations} data */
  show(data) {
    const { query, totals } = data;
    if (this.#search.value.trim() !== query.search && !this.#search.matches(":focus")) this.#search.value = query.search;
    const write = this.element.querySelector(".wa-new-chat");
    if (write instanceof HTMLElement) write.hidden = !(this.#backend.isAgent && this.#backend.me?.can_send);
    for (const [filter, chip] of this.#chips) {
      const isChosen = filter === query.filter;
      const count = totals && filter !== "done" ? totals[filter] : undefined;
      // A filter that the gateway does not count is one that it does not know.
      chip.hidden = !isChosen && count === undefined && !["all", "unread", "unreplied"].includes(filter) && !(filter === "done" && totals?.mine !== undefined);
      chip.setAttribute("aria-pressed", String(isChosen));
      const text = count ? String(count) : "";
      const number = /** @type {HTMLElement} */ (chip.lastElementChild);
      if (number.textContent !== text) number.textContent = text;
    }
    this.#showSessions(query.session);
  }

  /** @param {number | null} chosen */
  #showSessions(chosen) {
    const sessions = this.#backend.sessions.list();
    this.#session.hidden = sessions.length < 2;
    const options = [["", t("list.sessions")], ...sessions.map((session) => [String(session.id), session.name])];
    const text = JSON.stringify(options);
    if (this.#session.dataset.options !== text) {
      this.#session.dataset.options = text;
      fill(this.#session, ...options.map(([value, name]) => el("option", { value }, name)));
    }
    this.#session.value = chosen === null ? "" : String(chosen);
  }
}
