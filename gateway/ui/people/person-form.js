/** The form for a person: a name, a role in words, the numbers that the person may see, a password. */

import { el, fill, uniqueId } from "../common/dom.js";
import { field } from "../common/field.js";
import { RestError } from "../common/rest.js";
import { t } from "../common/strings.js";
import { changesOf, complaintsOf, isMe, makePassword, newPerson, ROLES } from "./person.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { Role } from "../common/types.js" */
/** @import { LoginPerson, PersonForm } from "./person.js" */

/**
 * Asks for a new person, or for what changes of one; resolves when the gateway has taken it, with the person and the
 * password that was given, or with null.
 *
 * @param {Backend} backend @param {Element} inside @param {LoginPerson | null} before
 * @returns {Promise<{person: LoginPerson, password: string} | null>}
 */
export function askPerson(backend, inside, before) {
  return new Promise((resolve) => new PersonDialog(backend, before, resolve).show(inside));
}

class PersonDialog {
  #backend;
  #before;
  #resolve;
  /** @type {{person: LoginPerson, password: string} | null} */
  #result = null;
  #isBusy = false;
  #isMine;
  #name;
  #password;
  #roles;
  #all;
  #some;
  /** @type {[number, HTMLInputElement][]} */
  #boxes = [];
  #numbers = el("div", { class: "wa-person-numbers" });
  #numbersComplaint = el("p", { class: "wa-complaint", role: "alert" });
  #refused = el("p", { class: "wa-complaint", role: "alert" });
  #submit;
  #dialog;

  /** @param {Backend} backend @param {LoginPerson | null} before @param {(result: {person: LoginPerson, password: string} | null) => void} resolve */
  constructor(backend, before, resolve) {
    this.#backend = backend;
    this.#before = before;
    this.#resolve = resolve;
    this.#isMine = before !== null && isMe(before, backend.me);
    const group = uniqueId("person");
    this.#name = field(t("people.name"), t("people.name.hint"), { name: "name", value: before?.name ?? "", autocomplete: "off", dir: "auto" });
    this.#password = field(t(before?.has_password ? "people.password.new" : "people.password"), t(before ? "people.password.new.hint" : "people.password.hint"), {
      name: "password",
      autocomplete: "new-password",
      autocapitalize: "none",
      spellcheck: "false",
      dir: "ltr",
    });
    this.#roles = ROLES.map((role) => this.#radio(`${group}-role`, role, t(`people.role.${role}`), (before?.role ?? "agent") === role, t(`people.role.${role}.hint`)));
    const seesAll = before ? before.sessions === "*" : this.#mayGiveAll;
    this.#all = this.#radio(`${group}-numbers`, "all", t("people.numbers.all"), seesAll);
    this.#some = this.#radio(`${group}-numbers`, "some", t("people.numbers.some"), !seesAll);
    this.#submit = el("button", { type: "submit", class: "wa-button wa-strong" }, t(before ? "common.save" : "people.add.submit"));
    this.#dialog = this.#build();
    this.#showNumbers();
  }

  /** A limited admin gives away no more than his own numbers. */
  get #mayGiveAll() {
    return this.#backend.me?.sessions === "*";
  }

  /** @param {string} group @param {string} value @param {string} text @param {boolean} checked @param {string} [hint] */
  #radio(group, value, text, checked, hint) {
    const input = el("input", { type: "radio", name: group, value });
    input.checked = checked;
    input.addEventListener("change", () => this.#showNumbers());
    return { input, element: el("label", { class: "wa-check" }, input, el("span", {}, text, hint && el("span", { class: "wa-hint" }, hint))) };
  }

  #build() {
    const title = uniqueId("person-title");
    const make = () => {
      this.#password.input.value = makePassword();
      this.#password.complain("");
    };
    const makeButton = el("button", { type: "button", class: "wa-link", onclick: make }, t("people.password.make"));
    const rights = [
      el("fieldset", { class: "wa-choices" }, el("legend", {}, t("people.role")), ...this.#roles.map((one) => one.element)),
      el("fieldset", { class: "wa-choices" }, el("legend", {}, t("people.numbers")), this.#mayGiveAll && this.#all.element, this.#mayGiveAll && this.#some.element, this.#numbers, this.#numbersComplaint),
    ];
    const secret = [this.#password.element, makeButton];
    const mine = el("p", { class: "wa-hint" }, t("people.mine.hint"));
    const dialog = el(
      "dialog",
      { class: "wa-ask wa-person", "aria-labelledby": title, data: { testid: "person-form" } },
      el(
        "form",
        { method: "dialog", novalidate: true },
        el("h2", { id: title }, this.#before ? this.#before.name : t("people.add")),
        this.#name.element,
        ...(this.#isMine ? [mine] : [...rights, ...secret]),
        this.#refused,
        el("div", { class: "wa-ask-row" }, el("button", { type: "button", class: "wa-button", onclick: () => dialog.close() }, t("common.cancel")), this.#submit),
      ),
    );
    dialog.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      this.#resolve(this.#result);
    });
    return dialog;
  }

  /** @param {Element} inside */
  show(inside) {
    inside.append(this.#dialog);
    this.#dialog.showModal();
    this.#name.input.focus();
  }

  #showNumbers() {
    this.#numbers.hidden = this.#mayGiveAll && this.#all.input.checked;
    this.#numbersComplaint.textContent = "";
    if (this.#boxes.length) return;
    const given = this.#before?.sessions;
    const known = this.#backend.sessions.list();
    this.#boxes = known.map((session) => {
      const input = el("input", { type: "checkbox" });
      input.checked = Array.isArray(given) && given.includes(session.id);
      input.addEventListener("change", () => (this.#numbersComplaint.textContent = ""));
      return [session.id, input];
    });
    const labels = this.#boxes.map(([, input], at) => el("label", { class: "wa-check" }, input, el("bdi", {}, known[at].name || known[at].phone_number)));
    fill(this.#numbers, ...labels);
  }

  /** @returns {PersonForm} */
  #read() {
    const role = /** @type {Role} */ (this.#roles.find((one) => one.input.checked)?.input.value ?? "viewer");
    const seesAll = this.#mayGiveAll && this.#all.input.checked;
    const ticked = this.#boxes.filter(([, input]) => input.checked).map(([id]) => id);
    // A number that was deleted meanwhile has no box, and is not taken away by the way.
    const hidden = Array.isArray(this.#before?.sessions) ? this.#before.sessions.filter((id) => !this.#boxes.some(([known]) => known === id)) : [];
    return { name: this.#name.input.value, role, sessions: seesAll ? "*" : [...hidden, ...ticked], password: this.#password.input.value };
  }

  async #send() {
    if (this.#isBusy) return;
    const before = this.#before;
    const form = this.#isMine && before ? { name: this.#name.input.value, role: before.role, sessions: before.sessions, password: "" } : this.#read();
    const wrong = complaintsOf(form);
    this.#name.complain(wrong.name ? t(wrong.name) : "");
    this.#password.complain(wrong.password ? t(wrong.password) : "");
    this.#numbersComplaint.textContent = wrong.sessions ? t(wrong.sessions) : "";
    this.#refused.textContent = "";
    if (wrong.name) return this.#name.input.focus();
    if (wrong.sessions) return this.#boxes[0]?.[1].focus();
    if (wrong.password) return this.#password.input.focus();
    const changes = before ? changesOf(before, form) : newPerson(form);
    if (!Object.keys(changes).length) return this.#dialog.close();
    this.#isBusy = this.#submit.disabled = true;
    try {
      const { rest } = this.#backend;
      const reply = before ? await rest.put(`/api/people/${before.id}`, changes) : await rest.post("/api/people", changes);
      this.#result = { person: reply.data, password: form.password };
      this.#dialog.close();
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      this.#refused.textContent = error.message;
    } finally {
      this.#isBusy = this.#submit.disabled = false;
    }
  }
}
