/** The list of numbers in the modal, moved in place by frames so that nothing jumps under the pointer. */

import { arrange, debounced, el, fill } from "../common/dom.js";
import { formatPhone } from "../common/format.js";
import { icon } from "../common/icons.js";
import { sessionHealth } from "../common/states.js";
import { SessionRow } from "./session-row.js";
import { t } from "../common/strings.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { Session } from "../common/types.js" */
/** @import { RowActions } from "./session-row.js" */

/** @typedef {{search: string, state: string}} NumbersQuery */

const STATES = ["all", "good", "bad", "busy", "new"];
const SEARCH_FROM = 4;

/** Whether a number is one that is looked for, by name or by any part of its digits. @param {Session} session @param {NumbersQuery} query */
export function isWanted(session, { search, state }) {
  if (state !== "all" && sessionHealth(session) !== state) return false;
  const words = search.trim().toLowerCase();
  const digits = words.replace(/\D/g, "").replace(/^0+/, "");
  const inName = session.name.toLowerCase().includes(words);
  return inName || formatPhone(session.phone_number).includes(words) || (digits.length > 1 && session.phone_number.replace(/\D/g, "").includes(digits));
}

/** The query as the address keeps it. @param {string} search  of the address @returns {NumbersQuery} */
export function readQuery(search) {
  const params = new URLSearchParams(search);
  const state = params.get("numbers-state") ?? "all";
  return { search: params.get("numbers-search") ?? "", state: STATES.includes(state) ? state : "all" };
}

/** @param {string} search @param {NumbersQuery} query */
export function writeQuery(search, query) {
  const params = new URLSearchParams(search);
  if (query.search) params.set("numbers-search", query.search);
  else params.delete("numbers-search");
  if (query.state !== "all") params.set("numbers-state", query.state);
  else params.delete("numbers-state");
  const text = params.toString();
  return text ? `?${text}` : "";
}

export class SessionList {
  /** @type {Map<number, SessionRow>} */
  #rows = new Map();
  #backend;
  #actions;
  #query;
  #list = el("ul", { class: "wa-sessions-list" });
  #empty = el("div", { class: "wa-empty" });
  #found = el("p", { class: "wa-unseen", role: "status" });
  #search;
  #state;
  #tools;
  #create;

  /** @param {Backend} backend @param {RowActions & {create: () => void, query: (query: NumbersQuery) => void}} actions @param {NumbersQuery} query */
  constructor(backend, actions, query) {
    this.#backend = backend;
    this.#actions = actions;
    this.#query = { ...query };
    const changed = debounced(() => this.#ask(), 150);
    this.#search = el("input", { type: "search", class: "wa-input", value: query.search, placeholder: t("sessions.search"), "aria-label": t("sessions.search"), autocomplete: "off", dir: "auto", oninput: changed });
    this.#search.addEventListener("keydown", (event) => this.#onKey(event));
    this.#state = el(
      "select",
      { class: "wa-input", "aria-label": t("sessions.filter"), onchange: () => this.#ask() },
      ...STATES.map((state) => el("option", { value: state }, t(/** @type {"sessions.filter.all"} */ (`sessions.filter.${state}`)))),
    );
    this.#state.value = query.state;
    this.#tools = el("div", { class: "wa-sessions-tools" }, this.#search, this.#state);
    this.#create = el(
      "button",
      {
        type: "button",
        class: "wa-button wa-create",
        data: { testid: "create-session" },
        onclick: actions.create,
      },
      icon("plus"),
      t("sessions.create"),
    );
    this.element = el(
      "div",
      { class: "wa-sessions" },
      el("p", { class: "wa-hint" }, t("sessions.lead")),
      this.#tools,
      this.#found,
      this.#empty,
      this.#list,
      this.#create,
    );
  }

  /** Esc empties the search first, and closes the modal only then. @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.key !== "Escape" || !this.#search.value) return;
    event.preventDefault();
    event.stopPropagation();
    this.#search.value = "";
    this.#ask();
  }

  #ask() {
    this.#query = { search: this.#search.value, state: this.#state.value };
    this.#actions.query(this.#query);
    this.update();
    this.#found.textContent = t("sessions.found", { n: this.#list.children.length });
  }

  update() {
    const all = this.#backend.sessions.list();
    const { search, state } = this.#query;
    const isAsked = search !== "" || state !== "all";
    const sessions = isAsked ? all.filter((session) => isWanted(session, this.#query)) : all;
    this.#tools.hidden = all.length < SEARCH_FROM && !isAsked;
    this.#create.hidden = !this.#backend.isAdmin;
    this.#create.classList.toggle("wa-strong", all.length === 0);
    this.#empty.hidden = sessions.length > 0;
    if (!sessions.length) this.#showEmpty(isAsked);
    const elements = sessions.map((session) => {
      const row = this.#rows.get(session.id) ?? new SessionRow(this.#backend, session, this.#actions);
      this.#rows.set(session.id, row);
      row.update(session);
      return row.element;
    });
    const ids = new Set(all.map((session) => session.id));
    for (const id of this.#rows.keys()) if (!ids.has(id)) this.#rows.delete(id);
    arrange(this.#list, elements);
  }

  /** @param {boolean} isAsked */
  #showEmpty(isAsked) {
    const drawn = `${isAsked} ${this.#backend.isAdmin}`;
    if (this.#empty.dataset.drawn === drawn) return;
    this.#empty.dataset.drawn = drawn;
    if (isAsked) return fill(this.#empty, icon("search"), el("h3", {}, t("list.nothing")), el("button", { type: "button", class: "wa-button", onclick: () => this.#clear() }, t("sessions.filter.clear")));
    const hint = this.#backend.isAdmin ? t("sessions.empty.hint") : t("sessions.empty.viewer");
    fill(this.#empty, icon("phone"), el("h3", {}, t("sessions.empty")), el("p", {}, hint));
  }

  #clear() {
    this.#search.value = "";
    this.#state.value = "all";
    this.#ask();
    this.#search.focus();
  }
}
