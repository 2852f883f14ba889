/** One number in the modal: name, badge, the one thing to do now, the rest in a menu, and facts under Details. */

import { makeBadge, showPending, updateBadge } from "../common/badge.js";
import { el, fill, uniqueId } from "../common/dom.js";
import { ago, exactTime } from "../common/format.js";
import { icon } from "../common/icons.js";
import { showMenu } from "../common/menu.js";
import { primaryAction } from "../common/states.js";
import { hasText, t } from "../common/strings.js";
import { showFailure, showToast } from "../common/toast.js";
import { isNameTyped, phoneFor } from "./session-facts.js";
import { webhookNotice } from "./webhook-notice.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { Session } from "../common/types.js" */

/**
 * @typedef {object} RowActions
 * @property {(session: Session) => void} link
 * @property {(session: Session) => void} openInbox
 * @property {(session: Session) => void} edit
 * @property {(session: Session) => void} log
 * @property {(session: Session) => void} keys
 */

/** @typedef {"disconnect" | "restart" | "delete"} Deed */

export class SessionRow {
  #backend;
  #actions;
  /** @type {Session} */
  #session;
  /** What is being done, and shown before it is. @type {Deed | null} */
  #doing = null;
  #name = el("bdi", {});
  #phone = el("span", { class: "wa-session-phone", dir: "ltr" });
  #checked = el("span", { class: "wa-hint wa-session-checked", tabindex: "0" });
  #menu = el("button", { type: "button", class: "wa-ghost wa-square", "aria-haspopup": "menu", data: { testid: "session-menu" }, onclick: () => this.#showMenu() }, icon("more"));
  #badge = makeBadge();
  #primary = el("div", { class: "wa-session-primary" });
  #webhook = el("div", {});
  #webhookFor = "";
  #facts = el("dl", { class: "wa-facts" });
  #buttons = el("div", { class: "wa-session-buttons" });
  #details = el("details", { class: "wa-details", data: { testid: "session-details" } }, el("summary", {}, t("sessions.details")), this.#facts, this.#buttons);
  /** What the primary button was last built for. */
  #primaryFor = "";

  /** @param {Backend} backend @param {Session} session @param {RowActions} actions */
  constructor(backend, session, actions) {
    this.#backend = backend;
    this.#actions = actions;
    this.#session = session;
    this.element = el(
      "li",
      { class: "wa-session", data: { testid: "session-row", session: session.id } },
      el(
        "div",
        { class: "wa-session-main" },
        el(
          "div",
          { class: "wa-session-who" },
          el("strong", { class: "wa-session-name" }, this.#name),
          this.#phone,
          this.#checked,
        ),
        this.#badge,
        this.#primary,
        this.#menu,
      ),
      this.#webhook,
      this.#details,
    );
    this.#showButtons();
    this.update(session);
  }

  /** @param {Session} session */
  update(session) {
    this.#session = session;
    const now = this.#backend.rest.now();
    this.element.dataset.status = session.status;
    this.#name.textContent = session.name;
    this.#phone.textContent = phoneFor(session.phone_number, this.#backend.isAgent);
    this.#showChecked(now);
    this.#menu.setAttribute("aria-label", t("sessions.actions", { name: session.name }));
    if (this.#doing) showPending(this.#badge, t(`sessions.doing.${this.#doing}`));
    else updateBadge(this.#badge, session, now);
    this.#showPrimary();
    this.#showWebhook();
    this.#showFacts(now);
  }

  /** @param {number} now */
  #showChecked(now) {
    const { checked_at: at, updated_at: changed } = this.#session;
    const parts = [changed ? t("sessions.changed", { ago: ago(changed, now) }) : "", at ? t("sessions.checked", { ago: ago(at, now) }) : ""];
    const text = parts.filter(Boolean).join(" · ");
    if (this.#checked.textContent !== text) this.#checked.textContent = text;
    const exact = (/** @type {string | null | undefined} */ one) => (one ? exactTime(Date.parse(one), this.#backend.zone) : "");
    const title = [changed && `${t("field.changed")}: ${exact(changed)}`, at && `${t("field.checked")}: ${exact(at)}`].filter(Boolean).join("\n");
    if (this.#checked.title === title) return;
    this.#checked.title = title;
    this.#checked.hidden = !title;
  }

  /** Drawn anew only when it says something else: a button under a finger stays. */
  #showWebhook() {
    const { webhook_state: state, id } = this.#session;
    if (this.#webhookFor === String(state)) return;
    this.#webhookFor = String(state);
    const repair = async () => {
      await this.#backend.rest.post(`/api/whatsapp-sessions/${id}/repair-webhook`);
      await this.#backend.sessions.load();
    };
    fill(this.#webhook, webhookNotice(this.#session, this.#backend.isAdmin ? repair : null));
  }

  #showPrimary() {
    const { action, text } = primaryAction(this.#session);
    const allowed = action === "open" || (action !== "none" && this.#backend.isAgent);
    const wanted = allowed ? `${action} ${text}` : "";
    if (wanted === this.#primaryFor) return;
    this.#primaryFor = wanted;
    if (!allowed) return fill(this.#primary);
    const opens = action === "open";
    const run = opens
      ? () => this.#actions.openInbox(this.#session)
      : () => this.#actions.link(this.#session);
    const attributes = { type: "button", class: opens ? "wa-button" : "wa-button wa-strong", onclick: run };
    fill(
      this.#primary,
      el("button", { ...attributes, data: opens ? {} : { testid: "connect-button" } }, text),
    );
  }

  /** @param {number} now */
  #showFacts(now) {
    const session = this.#session;
    const zone = this.#backend.zone;
    /** @param {string | null | undefined} at */
    const moment = (at) => (at ? exactTime(Date.parse(at), zone) : t("field.never"));
    const source = `source.${session.source}`;
    /** @type {[string, string][]} */
    const facts = [
      [t("field.checked"), ago(session.checked_at, now) || t("field.never")],
      [t("field.changed"), moment(session.updated_at)],
      [t("field.last_connected"), moment(session.last_connected_at)],
      [t("field.protection"), t(session.account_protection ? "field.on" : "field.off")],
      [t("field.id"), String(session.id)],
    ];
    if (session.source) facts.splice(1, 0, [t("field.source"), hasText(source) ? t(source) : session.source]);
    if (session.created_at) facts.push([t("field.created"), moment(session.created_at)]);
    const text = JSON.stringify(facts);
    if (this.#facts.dataset.shown === text) return;
    this.#facts.dataset.shown = text;
    fill(
      this.#facts,
      ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", { dir: "auto" }, value))),
    );
  }

  // ------------------------------------------------------------------------------------------ buttons

  #showButtons() {
    if (!this.#backend.isAdmin) return;
    fill(
      this.#buttons,
      this.#button("sessions.disconnect", "disconnect-button", "wa-button", () => this.#ask("disconnect")),
      this.#button("sessions.restart", "restart-button", "wa-button", () => this.#run("restart")),
      this.#button("sessions.delete", "delete-button", "wa-button wa-danger", () => this.#ask("delete")),
    );
  }

  /** @param {import("../common/strings.js").TextKey} text @param {string} testid @param {string} look @param {() => void} run */
  #button(text, testid, look, run) {
    return el("button", { type: "button", class: look, data: { testid }, onclick: run }, t(text));
  }

  #showMenu() {
    if (this.#doing) return;
    const { isAdmin, isAgent } = this.#backend;
    const session = this.#session;
    const ask = (/** @type {"disconnect" | "delete"} */ what) => () => {
      this.#details.open = true;
      this.#ask(what);
    };
    showMenu(
      this.#menu,
      [
        isAgent && session.status !== "connected" && { text: t("sessions.show_qr"), icon: "qr", run: () => this.#actions.link(session) },
        { text: t("sessions.open_inbox"), icon: "chat", run: () => this.#actions.openInbox(session) },
        isAdmin && { text: t("sessions.edit"), icon: "pen", run: () => this.#actions.edit(session) },
        { text: t("sessions.log"), icon: "clock", run: () => this.#actions.log(session) },
        isAdmin && { text: t("sessions.keys"), icon: "key", run: () => this.#actions.keys(session) },
        isAdmin && { text: t("sessions.restart"), icon: "link", run: () => void this.#run("restart") },
        isAdmin && { text: t("sessions.disconnect"), icon: "unlink", run: ask("disconnect") },
        isAdmin && { text: t("sessions.delete"), icon: "trash", bad: true, run: ask("delete") },
      ],
      t("sessions.actions", { name: session.name }),
    );
  }

  /** Says what will happen, and stands on Cancel. @param {"disconnect" | "delete"} what */
  #ask(what) {
    const back = () => {
      this.#showButtons();
      const button = this.#buttons.querySelector(`[data-testid="${what}-button"]`);
      if (button instanceof HTMLElement) button.focus();
    };
    const cancel = el("button", { type: "button", class: "wa-button", onclick: back }, t("common.cancel"));
    const question = t(`sessions.${what}.ask`, { name: this.#session.name });
    const go = this.#button(`sessions.${what}`, `${what}-button`, "wa-button wa-danger wa-strong", () => this.#run(what));
    fill(this.#buttons, el("p", { class: "wa-question", dir: "auto" }, question), what === "delete" && this.#nameToType(go), cancel, go);
    cancel.focus();
  }

  /** What cannot be undone asks for more than a second press. @param {HTMLButtonElement} go */
  #nameToType(go) {
    const id = uniqueId("delete");
    const { name: given, phone_number, id: number } = this.#session;
    const name = given.trim() || phoneFor(phone_number, true) || String(number);
    const input = el("input", { id, class: "wa-input", autocomplete: "off", autocapitalize: "none", spellcheck: "false", dir: "auto" });
    go.disabled = !isNameTyped("", name);
    input.addEventListener("input", () => (go.disabled = !isNameTyped(input.value, name)));
    input.addEventListener("keydown", (event) => event.key === "Enter" && !go.disabled && go.click());
    return el("div", { class: "wa-field" }, el("label", { for: id }, t("sessions.delete.type", { name })), input);
  }

  /** One request however often the button is pressed; the badge says at once what is done, and takes it back on a failure. @param {Deed} what */
  async #run(what) {
    if (this.#doing) return;
    this.#doing = what;
    const { rest, sessions } = this.#backend;
    const { id } = this.#session;
    this.update(this.#session);
    const buttons = [...this.#buttons.querySelectorAll("button"), ...this.#primary.querySelectorAll("button"), this.#menu];
    for (const button of buttons) {
      button.disabled = true;
      button.title = t("sessions.busy");
    }
    try {
      const path = `/api/whatsapp-sessions/${id}`;
      const reply = what === "delete" ? await rest.delete(path) : await rest.post(`${path}/${what}`);
      if (what === "delete") sessions.remove(id);
      showToast(t(`sessions.done.${what}`), { tone: "good" });
      if (reply.warning) showToast(t("sessions.warning", { warning: reply.warning }), { tone: "calm" });
    } catch (error) {
      const refresh = () => void sessions.load().catch(showFailure);
      showFailure(error, { retry: () => void this.#run(what), refresh });
    } finally {
      this.#doing = null;
      this.#primaryFor = "";
      this.#menu.disabled = false;
      this.#menu.title = "";
      this.#showButtons();
      this.update(sessions.get(id) ?? this.#session);
    }
  }
}
