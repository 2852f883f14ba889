/** The list of sessions in the modal, moved in place by frames so that nothing jumps under the pointer. */

import { arrange, el, fill } from "../common/dom.js";
import { icon } from "../common/icons.js";
import { SessionRow } from "./session-row.js";
import { t } from "../common/strings.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { RowActions } from "./session-row.js" */

export class SessionList {
  /** @type {Map<number, SessionRow>} */
  #rows = new Map();
  #backend;
  #actions;
  #list = el("ul", { class: "wa-sessions-list" });
  #empty = el("div", { class: "wa-empty" });
  #create;

  /** @param {Backend} backend @param {RowActions & {create: () => void}} actions */
  constructor(backend, actions) {
    this.#backend = backend;
    this.#actions = actions;
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
      this.#empty,
      this.#list,
      this.#create,
    );
  }

  update() {
    const sessions = this.#backend.sessions.list();
    this.#create.hidden = !this.#backend.isAdmin;
    this.#create.classList.toggle("wa-strong", sessions.length === 0);
    this.#empty.hidden = sessions.length > 0;
    if (!sessions.length) {
      const hint = this.#backend.isAdmin ? t("sessions.empty.hint") : t("sessions.empty.viewer");
      fill(this.#empty, icon("phone"), el("h3", {}, t("sessions.empty")), el("p", {}, hint));
    }
    const elements = sessions.map((session) => {
      const row = this.#rows.get(session.id) ?? new SessionRow(this.#backend, session, this.#actions);
      this.#rows.set(session.id, row);
      row.update(session);
      return row.element;
    });
    const ids = new Set(sessions.map((session) => session.id));
    for (const id of this.#rows.keys()) if (!ids.has(id)) this.#rows.delete(id);
    arrange(this.#list, elements);
  }
}
