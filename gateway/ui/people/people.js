/** `/people`: who may log in, as what, for which numbers. For administrators. */

import { backend } from "../common/backend.js";
import { confirmed } from "../common/confirm.js";
import { el, fill, uniqueId } from "../common/dom.js";
import { KeyedList, LiveElement } from "../common/element.js";
import { initials } from "../common/format.js";
import { icon } from "../common/icons.js";
import { showMenu } from "../common/menu.js";
import { RestError } from "../common/rest.js";
import { t } from "../common/strings.js";
import { showFailure, showToast } from "../common/toast.js";
import { askPerson } from "./person-form.js";
import { isMe, numbersOf } from "./person.js";

/** @import { LoginPerson } from "./person.js" */

/** @typedef {"loading" | "loaded" | "failed" | "forbidden"} PeopleState */

export class PeoplePage extends LiveElement {
  #backend = backend();
  /** @type {LoginPerson[]} */
  #people = [];
  /** @type {PeopleState} */
  #state = "loading";
  #failure = "";
  #list = el("ul", { class: "wa-people-list" });
  #rows = new KeyedList(this.#list, (/** @type {{person: LoginPerson, drawn: string}} */ { person }) => this.#row(person));
  #add = el("button", { type: "button", class: "wa-button wa-strong", data: { testid: "add-person" }, onclick: () => void this.#ask(null) }, icon("plus"), t("people.add"));
  #instead = el("div", { class: "wa-empty" });
  #given = el("div", { class: "wa-given", role: "status", hidden: true, data: { testid: "person-password" } });

  begin() {
    this.className = "wa-page";
    this.dataset.testid = "people";
    const title = uniqueId("people");
    this.setAttribute("role", "region");
    this.setAttribute("aria-labelledby", title);
    fill(
      this,
      el("header", { class: "wa-page-head" }, el("h1", { id: title }, t("app.people")), this.#add),
      el("p", { class: "wa-hint" }, t("people.lead")),
      this.#given,
      this.#list,
      this.#instead,
    );
    this.on(this.#backend.sessions, "change", () => this.redraw());
    void this.#load();
  }

  async #load() {
    try {
      await this.#backend.open();
      void this.#backend.sessions.load().catch(() => null); // a number without a name keeps its id
      this.#people = (await this.#backend.rest.get("/api/people", {}, this.signal)).data;
      this.#state = "loaded";
    } catch (error) {
      if (!this.isConnected) return;
      if (!(error instanceof RestError)) throw error;
      this.#state = error.status === 403 ? "forbidden" : "failed";
      this.#failure = error.message;
    }
    this.redraw();
  }

  draw() {
    const shown = this.#state === "loaded";
    this.dataset.state = this.#state;
    this.#add.hidden = !shown;
    this.#list.hidden = !shown || !this.#people.length;
    this.#instead.hidden = shown && this.#people.length > 0;
    this.#showInstead();
    const sessions = this.#backend.sessions.list();
    this.#rows.show(
      this.#people.map((person) => [String(person.id), { person, drawn: JSON.stringify([person, numbersOf(person.sessions, sessions)]) }]),
      (a, b) => a.drawn === b.drawn,
    );
  }

  #showInstead() {
    if (this.#instead.hidden) return;
    const again = el("button", { type: "button", class: "wa-button", onclick: () => ((this.#state = "loading"), this.redraw(), void this.#load()) }, t("action.retry"));
    if (this.#state === "loading") fill(this.#instead, icon("spinner"), el("p", {}, t("people.loading")));
    else if (this.#state === "forbidden") fill(this.#instead, icon("block"), el("h2", {}, t("people.forbidden")), el("p", {}, t("people.forbidden.hint")));
    else if (this.#state === "failed") fill(this.#instead, icon("alert"), el("h2", {}, t("people.failed")), el("p", { dir: "auto" }, this.#failure), again);
    else fill(this.#instead, icon("people"), el("h2", {}, t("people.empty")), el("p", {}, t("people.empty.hint")));
  }

  /** @param {LoginPerson} person */
  #row(person) {
    const off = person.disabled_at !== null;
    const numbers = numbersOf(person.sessions, this.#backend.sessions.list());
    const more = el(
      "button",
      { type: "button", class: "wa-ghost wa-square", "aria-haspopup": "menu", "aria-label": t("people.actions", { name: person.name }) },
      icon("more"),
    );
    more.addEventListener("click", () => this.#showActions(more, person));
    return el(
      "li",
      { class: "wa-person-row", data: { testid: "person-row", person: person.id, disabled: off || null } },
      el("span", { class: "wa-person-face", "aria-hidden": "true" }, initials(person.name)),
      el(
        "div",
        { class: "wa-person-facts" },
        el("p", { class: "wa-person-name" }, el("bdi", {}, person.name), isMe(person, this.#backend.me) && el("span", { class: "wa-hint" }, t("people.me"))),
        el("p", { class: "wa-hint", dir: "auto" }, `${t(`role.${person.role}`)} · ${numbers}`),
      ),
      off && el("span", { class: "wa-badge wa-tone-calm" }, icon("block"), t("people.disabled")),
      !off && !person.has_password && el("span", { class: "wa-badge wa-tone-warn" }, icon("alert"), t("people.no_password")),
      el("button", { type: "button", class: "wa-button", onclick: () => void this.#ask(person) }, t("people.edit")),
      !isMe(person, this.#backend.me) && more,
    );
  }

  /** @param {HTMLElement} opener @param {LoginPerson} person */
  #showActions(opener, person) {
    const off = person.disabled_at !== null;
    showMenu(
      opener,
      [
        !off && { text: t("people.link"), icon: "link", run: () => void this.#makeLink(person) },
        off
          ? { text: t("people.enable"), icon: "check", run: () => void this.#setDisabled(person, false) }
          : { text: t("people.disable"), icon: "block", run: () => void this.#setDisabled(person, true) },
        { text: t("people.delete"), icon: "trash", bad: true, run: () => void this.#delete(person) },
      ],
      t("people.actions", { name: person.name }),
    );
  }

  /** @param {LoginPerson | null} before */
  async #ask(before) {
    const taken = await askPerson(this.#backend, this, before);
    if (!taken) return;
    this.#put(taken.person);
    if (taken.password) this.#give(t("people.password.given", { name: taken.person.name }), taken.password, t("people.password.copy"));
    else showToast(t(before ? "people.saved" : "people.added", { name: taken.person.name }), { tone: "good" });
  }

  /** @param {LoginPerson} person */
  async #makeLink(person) {
    try {
      const { path } = (await this.#backend.rest.post(`/api/people/${person.id}/login-link`)).data;
      this.#give(t("people.link.given", { name: person.name }), this.#backend.rest.address(path), t("people.link.copy"));
    } catch (error) {
      showFailure(error, { retry: () => void this.#makeLink(person) });
    }
  }

  /** The one moment in which a password or a link can be read: the gateway keeps neither. @param {string} words @param {string} secret @param {string} label */
  #give(words, secret, label) {
    const code = el("code", { dir: "ltr", tabindex: "0" }, secret);
    const copy = async () => {
      try {
        await navigator.clipboard.writeText(secret);
        showToast(t("message.copied"), { tone: "good" });
      } catch {
        // A browser lets a page without https not copy: what is marked can be copied by hand.
        getSelection()?.selectAllChildren(code);
        showToast(t("people.copy.by_hand"), { tone: "calm" });
      }
    };
    const close = () => {
      fill(this.#given);
      this.#given.hidden = true;
    };
    this.#given.hidden = false;
    fill(
      this.#given,
      el("p", { dir: "auto" }, words),
      code,
      el("button", { type: "button", class: "wa-button", onclick: () => void copy() }, icon("copy"), label),
      el("button", { type: "button", class: "wa-button", onclick: close }, t("people.password.done")),
    );
  }

  /** @param {LoginPerson} person @param {boolean} disabled */
  async #setDisabled(person, disabled) {
    if (disabled && !(await confirmed(this, t("people.disable.ask", { name: person.name }), t("people.disable")))) return;
    try {
      this.#put((await this.#backend.rest.put(`/api/people/${person.id}`, { disabled })).data);
    } catch (error) {
      showFailure(error, { retry: () => void this.#setDisabled(person, disabled) });
    }
  }

  /** @param {LoginPerson} person */
  async #delete(person) {
    if (!(await confirmed(this, t("people.delete.ask", { name: person.name }), t("people.delete")))) return;
    try {
      await this.#backend.rest.delete(`/api/people/${person.id}`);
    } catch (error) {
      // One who is gone already is what was asked for.
      if (!(error instanceof RestError && error.status === 404)) return showFailure(error);
    }
    this.#people = this.#people.filter((one) => one.id !== person.id);
    this.redraw();
  }

  /** @param {LoginPerson} person */
  #put(person) {
    const others = this.#people.filter((one) => one.id !== person.id);
    this.#people = [...others, person].sort((a, b) => a.name.localeCompare(b.name));
    this.redraw();
  }
}

customElements.define("wa-people", PeoplePage);
