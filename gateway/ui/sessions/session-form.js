/** The form for a new number, or for one that is there: a name, digits that can be a number, what protection means. */

import { el } from "../common/dom.js";
import { field } from "../common/field.js";
import { toE164 } from "../common/format.js";
import { RestError } from "../common/rest.js";
import { t } from "../common/strings.js";
import { showFailure, showToast } from "../common/toast.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { Session } from "../common/types.js" */

export class SessionForm {
  #backend;
  #actions;
  #before;
  #name = field(t("sessions.name"), t("sessions.name.hint"), {
    name: "name",
    maxlength: 255,
    autocomplete: "off",
    dir: "auto",
  });
  #phone = field(t("sessions.phone"), t("sessions.phone.hint"), {
    name: "phone_number",
    type: "tel",
    inputmode: "tel",
    autocomplete: "off",
    dir: "ltr",
    placeholder: "+92 300 1234567",
  });
  #guard = el("input", { type: "checkbox", name: "account_protection", checked: true });
  #submit = el(
    "button",
    { type: "submit", class: "wa-button wa-strong", data: { testid: "create-session" } },
    t("sessions.create.submit"),
  );

  /**
   * @param {Backend} backend
   * @param {{created: (session: Session) => void, cancel: () => void}} actions  `created`: also when one was changed
   * @param {Session | null} [before]  the one that is changed
   */
  constructor(backend, actions, before = null) {
    this.#backend = backend;
    this.#actions = actions;
    this.#before = before;
    if (before) {
      this.#name.input.value = before.name;
      this.#phone.input.value = before.phone_number;
      this.#guard.checked = before.account_protection !== false;
      this.#submit.textContent = t("common.save");
    }
    const protection = el(
      "span",
      {},
      t("sessions.protection"),
      el("span", { class: "wa-hint" }, t("sessions.protection.hint")),
    );
    const cancel = el(
      "button",
      { type: "button", class: "wa-button", onclick: actions.cancel },
      t("common.cancel"),
    );
    this.element = el(
      "form",
      { class: "wa-form", novalidate: true },
      this.#name.element,
      this.#phone.element,
      el("label", { class: "wa-check" }, this.#guard, protection),
      el("div", { class: "wa-form-buttons" }, cancel, this.#submit),
    );
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
  }

  focus() {
    this.#name.input.focus();
  }

  /** The fields, or null after saying what is wrong with them. */
  #read() {
    const name = this.#name.input.value.trim();
    const number = toE164(this.#phone.input.value);
    this.#name.complain(name ? "" : t("sessions.name.missing"));
    this.#phone.complain(number ? "" : t("sessions.phone.invalid"));
    if (!name) this.#name.input.focus();
    else if (!number) this.#phone.input.focus();
    return name && number ? { name, phone_number: number } : null;
  }

  async #send() {
    const fields = this.#read();
    if (!fields || this.#submit.disabled) return;
    this.#setBusy(true);
    try {
      const body = { ...fields, account_protection: this.#guard.checked };
      const { rest } = this.#backend;
      const reply = await (this.#before
        ? rest.put(`/api/whatsapp-sessions/${this.#before.id}`, body)
        : rest.post("/api/whatsapp-sessions", { ...body, log_messages: true }));
      this.#backend.sessions.put(reply.data);
      if (reply.warning) showToast(t("sessions.warning", { warning: reply.warning }), { tone: "calm" });
      this.#actions.created(reply.data);
    } catch (error) {
      if (error instanceof RestError) this.#blame(error);
      showFailure(error, { retry: () => void this.#send() });
    } finally {
      this.#setBusy(false);
    }
  }

  /** The gateway's and upstream's complaints, each under its field. @param {RestError} error */
  #blame(error) {
    const wrong = error.details?.errors ?? {};
    if (wrong.name) this.#name.complain([wrong.name].flat().join(" "));
    if (wrong.phone_number) this.#phone.complain([wrong.phone_number].flat().join(" "));
  }

  /** @param {boolean} busy */
  #setBusy(busy) {
    this.#submit.disabled = busy;
    const idle = this.#before ? "common.save" : "sessions.create.submit";
    this.#submit.textContent = t(busy ? (this.#before ? "sessions.busy" : "sessions.create.busy") : idle);
  }
}
