/**
 * `<whatsapp-sessions>`: a button, and the modal in which numbers are listed, created, linked and looked after.
 *
 * The dialog's `data-state` is one of closed, loading, list, preparing, qr, refreshing, finishing, success, expired,
 * error. Fires `session-connected` when a phone was linked here, and `session-open` when its inbox is asked for.
 * Attributes: `ticket` and `ticket-url` (login of an embedding page), `lang`, `theme`, `routed` (search and filter are in
 * the address). Taken off the page it hears nothing and asks nothing.
 */

import { backend } from "../common/backend.js";
import { el, fill, uniqueId } from "../common/dom.js";
import { LiveElement } from "../common/element.js";
import { icon } from "../common/icons.js";
import { troubleOf } from "./link-trouble.js";
import { LinkWatch } from "./link-watch.js";
import { NumberKeys } from "./number-keys.js";
import { NumberLog, skeleton } from "./number-log.js";
import { QrPanel } from "./qr-panel.js";
import { SessionForm } from "./session-form.js";
import { readQuery, SessionList, writeQuery } from "./session-list.js";
import { Stay } from "./stay.js";
import { t } from "../common/strings.js";
import { showFailure } from "../common/toast.js";

/** @import { LinkView, Phase } from "./linking.js" */
/** @import { Session } from "../common/types.js" */

const AGES_EVERY_MS = 5000;

/** @type {Partial<Record<Phase, import("../common/strings.js").TextKey>>} */
const ANNOUNCED = {
  refreshing: "link.refreshing",
  finishing: "live.finishing",
  success: "live.success",
  expired: "live.expired",
};

export class WhatsAppSessions extends LiveElement {
  #backend = backend();
  /** @type {import("./session-list.js").NumbersQuery} */
  #query = { search: "", state: "all" };
  /** What is open instead of the list, and has to be ended. @type {{end: () => void} | null} */
  #page = null;
  #titleId = uniqueId("sessions");
  #title = el("h2", { id: this.#titleId, tabindex: "-1" });
  #backButton = el(
    "button",
    {
      type: "button",
      class: "wa-ghost wa-square",
      "aria-label": t("link.back"),
      onclick: () => this.#showList(),
    },
    icon("back"),
  );
  #body = el("div", { class: "wa-dialog-body" });
  #announcer = el("p", { class: "wa-unseen", role: "status" });
  #dialog = this.#build();
  #button = el(
    "button",
    {
      type: "button",
      class: "wa-button",
      "aria-haspopup": "dialog",
      data: { testid: "sessions-button" },
      onclick: () => this.open(),
    },
    icon("phone"),
    t("sessions.button"),
  );
  /** @type {HTMLElement | null} */
  #opener = null;
  /** @type {SessionList | null} */
  #list = null;
  /** @type {LinkWatch | null} */
  #watch = null;
  /** @type {QrPanel | null} */
  #panel = null;
  #stay = new Stay(this.#dialog, () => this.close());
  #ages = 0;
  #announced = "";

  begin() {
    this.adoptLanguage();
    if (!this.#button.isConnected) this.replaceChildren(this.#button, this.#dialog);
    if (this.hasAttribute("routed")) this.#query = readQuery(location.search);
    this.on(this.#backend.sessions, "change", () => this.#refresh());
    this.ends(() => this.#dialog.open && this.#closed());
  }

  #build() {
    const close = el(
      "button",
      {
        type: "button",
        class: "wa-ghost wa-square",
        "aria-label": t("common.close"),
        onclick: () => this.close(),
      },
      icon("close"),
    );
    const dialog = el(
      "dialog",
      {
        class: "wa-dialog",
        "aria-labelledby": this.#titleId,
        data: { testid: "session-modal", state: "closed" },
      },
      el("header", { class: "wa-dialog-head" }, this.#backButton, this.#title, close),
      this.#body,
      this.#announcer,
    );
    dialog.addEventListener("close", () => this.#closed());
    // A click on the backdrop lands on the dialog itself; everything visible is inside its children.
    dialog.addEventListener("mousedown", (event) => event.target === dialog && this.close());
    return dialog;
  }

  /** Opens the list, or one number's code. @param {HTMLElement} [opener] gets the focus back @param {number} [id] of a number to link */
  open(opener, id) {
    if (this.#dialog.open) return;
    const { activeElement: focused } = /** @type {Document | ShadowRoot} */ (this.getRootNode());
    this.#opener =
      opener ?? (focused instanceof HTMLElement ? focused : this.#button);
    this.#dialog.showModal();
    this.#ages = setInterval(() => this.#refresh(), AGES_EVERY_MS);
    this.#showList();
    const session = id === undefined ? undefined : this.#backend.sessions.get(id);
    if (session && this.#backend.isAgent) this.#showLinking(session);
    else void this.#load();
  }

  close() {
    this.#dialog.close();
  }

  #closed() {
    this.#leaveAttempt();
    clearInterval(this.#ages);
    fill(this.#body);
    this.#list = null;
    this.#announcer.textContent = "";
    this.#dialog.dataset.state = "closed";
    const opener = this.#opener?.isConnected ? this.#opener : this.#button;
    opener.focus();
  }

  async #load() {
    try {
      await this.#backend.open(this.getAttribute("ticket"));
      await this.#backend.sessions.load();
    } catch (error) {
      showFailure(error, { retry: () => void this.#load() });
      if (this.#list || this.#dialog.dataset.state === "loading") this.#refresh();
    }
  }

  /** @param {string} title @param {boolean} withBack @param {Element} content */
  #show(title, withBack, content) {
    this.#title.textContent = title;
    this.#backButton.hidden = !withBack;
    fill(this.#body, content);
  }

  // ------------------------------------------------------------------------------------------ list and form

  #showList() {
    this.#leaveAttempt();
    this.#list = new SessionList(this.#backend, {
      create: () => this.#showForm(),
      link: (session) => this.#showLinking(session),
      openInbox: (session) => {
        this.close();
        this.#tell("session-open", session.id);
      },
      edit: (session) => this.#showForm(session),
      log: (session) => this.#showLog(session),
      keys: (session) => this.#showKeys(session),
      query: (query) => this.#ask(query),
    }, this.#query);
    this.#show(t("sessions.title"), false, this.#list.element);
    this.#title.focus();
    this.#refresh();
  }

  #refresh() {
    if (!this.#dialog.open || !this.#list) return;
    const state = this.#backend.sessions.state;
    const shown = state === "loaded" || this.#backend.sessions.list().length > 0;
    if (shown && this.#backend.me) {
      this.#dialog.dataset.state = "list";
      if (!this.#list.element.isConnected) fill(this.#body, this.#list.element);
      this.#list.update();
    } else if (state === "failed") {
      this.#dialog.dataset.state = "error";
      const again = el(
        "button",
        { type: "button", class: "wa-button", onclick: () => void this.#load() },
        t("action.retry"),
      );
      fill(
        this.#body,
        el("div", { class: "wa-empty" }, icon("alert"), el("h3", {}, t("sessions.error")), again),
      );
    } else {
      this.#dialog.dataset.state = "loading";
      fill(
        this.#body,
        el("div", { class: "wa-bones", "aria-busy": "true" }, el("p", { class: "wa-hint", role: "status" }, t("sessions.loading")), ...skeleton()),
      );
    }
  }

  /** @param {import("./session-list.js").NumbersQuery} query */
  #ask(query) {
    this.#query = query;
    if (!this.hasAttribute("routed")) return;
    history.replaceState(history.state, "", location.pathname + writeQuery(location.search, query) + location.hash);
  }

  /** @param {Session | null} [before]  the one that is changed; else a new one */
  #showForm(before = null) {
    this.#list = null;
    const back = () => this.#showList();
    const form = new SessionForm(this.#backend, { created: before ? back : (session) => this.#showLinking(session), cancel: back }, before);
    this.#show(before ? t("sessions.edit.title", { name: before.name }) : t("sessions.create.title"), true, form.element);
    form.focus();
  }

  /** @param {Session} session */
  #showLog(session) {
    this.#leaveAttempt();
    this.#list = null;
    this.#dialog.dataset.state = "list";
    const log = new NumberLog(this.#backend, session);
    this.#page = log;
    this.#show(t("log.title", { name: session.name }), true, log.element);
    this.#title.focus();
  }

  /** @param {Session} session */
  #showKeys(session) {
    this.#list = null;
    const keys = new NumberKeys(this.#backend, session);
    this.#page = keys;
    this.#show(t("keys_of.title", { name: session.name }), true, keys.element);
    this.#title.focus();
  }

  // ------------------------------------------------------------------------------------------ linking

  /** @param {Session} session */
  #showLinking(session) {
    if (!this.#dialog.open) return;
    this.#leaveAttempt();
    this.#list = null;
    const watch = new LinkWatch(this.#backend, session.id, (view) => this.#onView(view, session));
    const panel = new QrPanel(this.#backend, session, {
      again: () => void watch.connect(),
      back: () => this.#showList(),
      log: () => this.#showLog(session),
      openInbox: () => {
        this.close();
        this.#tell("session-open", session.id);
      },
    });
    this.#watch = watch;
    this.#panel = panel;
    this.#show(t("link.title", { name: session.name }), true, panel.element);
    this.#title.focus();
    void watch.start();
  }

  /** @param {LinkView} view @param {Session} session */
  #onView(view, session) {
    const isLinked = view.phase === "success" && this.#dialog.dataset.state !== "success";
    this.#panel?.show(view);
    this.#dialog.dataset.state = view.phase;
    this.#announce(view);
    if (!isLinked) return;
    this.#stay.begin();
    this.#tell("session-connected", session.id);
  }

  /** A screen reader hears each step once, and never the seconds. @param {LinkView} view */
  #announce(view) {
    const step = view.phase === "qr" ? `qr ${view.code?.seq}` : view.phase;
    if (step === this.#announced) return;
    const isFirst = !this.#announced.startsWith("qr ") && this.#announced !== "refreshing";
    const key = view.phase === "qr" ? (isFirst ? "live.ready" : "live.new") : view.phase === "error" ? troubleOf(view).title : ANNOUNCED[view.phase];
    this.#announced = step;
    this.#announcer.textContent = key ? t(key) : "";
  }

  #leaveAttempt() {
    this.#stay.end();
    this.#announced = "";
    this.#watch?.stop();
    this.#panel?.clear();
    this.#page?.end();
    this.#page = null;
    this.#watch = this.#panel = null;
  }

  /** @param {string} name @param {number} id */
  #tell(name, id) {
    this.tell(name, { session_id: id, session: this.#backend.sessions.get(id) ?? null });
  }
}

customElements.define("wa-sessions", WhatsAppSessions);
