/** The rail at the page's edge, and the notices above the rest: what holds for the whole page, whatever is open. */

import { Attention } from "./attention.js";
import { backend } from "./common/backend.js";
import { connectionBanner } from "./common/banner.js";
import { el, fill } from "./common/dom.js";
import { LiveElement } from "./common/element.js";
import { displayName, formatPhone, initials } from "./common/format.js";
import { icon } from "./common/icons.js";
import { showMenu } from "./common/menu.js";
import { isUnheard, sessionHealth } from "./common/states.js";
import { t } from "./common/strings.js";
import { writePlace } from "./inbox/place.js";
import { hasShortcuts, showKeys, showSettings } from "./settings.js";

/** @import { WhatsAppInbox } from "./inbox/inbox.js" */
/** @import { WhatsAppSessions } from "./sessions/sessions.js" */

const DOTS = 6;
const TITLES = /** @type {const} */ ({
  inbox: "app.title",
  people: "app.people",
  account: "app.account",
  targets: "targets.title",
  admin: "app.admin",
});

export class Rail extends LiveElement {
  #inbox;
  #sessions;
  #backend = backend();
  #notices;
  #badge = el("span", { class: "app-badge", hidden: true });
  #dots = el("span", { class: "app-dots" });
  #me = el("button", { type: "button", class: "app-who", "aria-haspopup": "menu", hidden: true });
  #hint = el("div", { class: "app-hint", hidden: true });
  #health = el("div", { class: "app-needs-link", role: "status", hidden: true });
  #people = el("a", { class: "app-rail-item", href: "people", hidden: true });
  #targets = el("a", { class: "app-rail-item", href: "targets", hidden: true });
  #admin = el("a", { class: "app-rail-item", href: "admin", hidden: true, data: { testid: "admin-link" } });
  #page;
  #unread = 0;

  /**
   * @param {WhatsAppInbox | null} inbox  null where another page is shown
   * @param {WhatsAppSessions} sessions
   * @param {Element} notices  where notices for the whole page stand
   * @param {"inbox" | "people" | "account" | "targets" | "admin"} [page]  the one that is shown, marked in the rail
   */
  constructor(inbox, sessions, notices, page = "inbox") {
    super();
    this.#page = page;
    this.#inbox = inbox;
    this.#sessions = sessions;
    this.#notices = notices;
  }

  begin() {
    this.classList.add("app-rail-in");
    const inbox = this.#inbox;
    const title = t(TITLES[this.#page]);
    const attention = new Attention(this, (message) => inbox?.openKey(`${message.session_id}|${message.chat}`), title);
    const home = el(
      "a",
      { class: "app-rail-item app-home", href: inbox ? "#" : "./", "aria-current": inbox && "page" },
      icon("chat"),
      el("span", { class: "wa-unseen" }, t("app.title")),
      this.#badge,
    );
    home.title = t("app.title");
    fill(this.#people, icon("people"));
    if (this.#page === "people") this.#people.setAttribute("aria-current", "page");
    if (this.#page === "account") this.#me.setAttribute("aria-current", "page");
    this.#people.setAttribute("aria-label", t("app.people"));
    this.#people.title = t("app.people");
    fill(this.#targets, icon("send"));
    if (this.#page === "targets") this.#targets.setAttribute("aria-current", "page");
    this.#targets.setAttribute("aria-label", t("targets.title"));
    this.#targets.title = t("targets.title");
    fill(this.#admin, icon("pulse"));
    if (this.#page === "admin") this.#admin.setAttribute("aria-current", "page");
    this.#admin.setAttribute("aria-label", t("app.admin"));
    this.#admin.title = t("app.admin");
    const settings = el(
      "button",
      { type: "button", class: "app-rail-item", "aria-label": t("app.settings"), title: t("app.settings"), onclick: () => showSettings(attention) },
      icon("gear"),
    );
    const numbers = el("div", { class: "app-numbers" }, this.#sessions, this.#dots);
    this.replaceChildren(home, numbers, this.#people, this.#targets, this.#admin, el("span", { class: "app-gap" }), settings, this.#me);
    fill(this.#notices, connectionBanner(this.#backend), this.#health, this.#soundNotice(attention), this.#hint);
    this.on(this.#backend, "open", () => this.redraw());
    this.on(this.#backend.sessions, "change", () => this.redraw());
    this.on(this.#me, "click", () => this.#showAccount());
    this.on(this.#sessions, "session-open", (event) => {
      const { session_id } = event.detail;
      if (inbox) inbox.showSession(session_id);
      else location.assign(`./${writePlace({ session: null, chat: null, query: { session: session_id, filter: "all", search: "" } })}`);
    });
    if (inbox) this.#follow(inbox, home, attention);
    this.on(document, "keydown", (event) => this.#onKey(event));
    attention.count(0);
  }

  /**
   * Says that the browser keeps the page silent, once a sound was due. It floats: it comes with a message and goes with the
   * first press, and neither may move what is under the pointer.
   *
   * @param {Attention} attention
   */
  #soundNotice(attention) {
    const on = el("button", { type: "button", class: "wa-link", onclick: () => attention.unlock() }, t("settings.sound.on"));
    const notice = el(
      "div",
      { class: "app-hint app-float", role: "status", hidden: true, data: { testid: "sound-blocked" } },
      icon("mute"),
      el("span", {}, t("settings.sound.blocked")),
      on,
    );
    this.on(attention, "sound-blocked", () => (notice.hidden = false));
    this.on(attention, "sound-allowed", () => (notice.hidden = true));
    return notice;
  }

  /** What the inbox tells and is told. @param {WhatsAppInbox} inbox @param {HTMLElement} home @param {Attention} attention */
  #follow(inbox, home, attention) {
    this.on(home, "click", (event) => {
      event.preventDefault();
      inbox.showAll();
    });
    this.on(inbox, "sessions-wanted", (event) => this.#sessions.open(undefined, event.detail?.session_id));
    this.on(inbox, "unread-change", (event) => {
      this.#unread = event.detail.unread;
      attention.count(this.#unread);
      this.redraw();
    });
    this.on(inbox, "message", (event) => {
      const message = event.detail;
      attention.arrived(message, inbox.isReading(message), displayName({ ...message, name: message.push_name }));
    });
  }

  #showAccount() {
    const leave = async () => {
      await this.#backend.rest.post("/logout").catch(() => null); // the login page says the same either way
      location.assign("./");
    };
    showMenu(
      this.#me,
      [
        { text: t("app.account"), icon: "user", run: () => location.assign("account") },
        { text: t("keys.title"), icon: "keyboard", run: showKeys },
        { text: t("app.logout"), icon: "logout", run: () => void leave() },
      ],
      t("app.account"),
    );
  }

  draw() {
    const me = this.#backend.me;
    const text = this.#unread > 99 ? "99+" : String(this.#unread);
    this.#badge.hidden = this.#unread === 0;
    if (this.#badge.textContent !== text) this.#badge.textContent = text;
    this.#showNumbers();
    if (!me) return;
    this.#me.hidden = false;
    this.#people.hidden = me.role !== "admin";
    this.#targets.hidden = me.role !== "admin" || me.sessions !== "*";
    this.#admin.hidden = me.role !== "admin" || me.sessions !== "*";
    const name = me.name || me.sub;
    if (this.#me.dataset.name !== name) {
      this.#me.dataset.name = name;
      this.#me.title = `${name} · ${t(`role.${me.role}`)}`;
      fill(this.#me, el("span", { "aria-hidden": "true" }, initials(name)), el("span", { class: "wa-unseen" }, `${name}, ${t(`role.${me.role}`)}`));
    }
    if (!me.simulator || !this.#hint.hidden) return;
    this.#hint.hidden = false;
    this.#hint.setAttribute("role", "region");
    this.#hint.setAttribute("aria-label", t("app.simulator.region"));
    const link = el("a", { href: "simulator", target: "_blank", rel: "noopener" }, t("app.simulator"));
    const close = el(
      "button",
      { type: "button", class: "wa-ghost wa-square", "aria-label": t("common.close"), onclick: () => this.#hint.remove() },
      icon("close"),
    );
    fill(this.#hint, icon("phone"), el("span", {}, t("app.simulator.hint")), link, close);
  }

  /** One dot a number: green, or red when it needs a person. */
  #showNumbers() {
    const all = this.#backend.sessions.list();
    const bad = all.filter((session) => sessionHealth(session) === "bad");
    const drawn = JSON.stringify([all.map((one) => [one.id, sessionHealth(one)]), bad.map((one) => one.name), all.filter(isUnheard).map((one) => one.name)]);
    if (this.#dots.dataset.drawn === drawn) return;
    this.#dots.dataset.drawn = drawn;
    const words = [t("app.numbers", { n: all.length }), bad.length ? t("app.numbers.bad", { n: bad.length }) : ""];
    fill(
      this.#dots,
      ...all.slice(0, DOTS).map((session) => el("i", { class: `app-dot app-dot-${sessionHealth(session)}` })),
      el("span", { class: "wa-unseen" }, all.length ? words.filter(Boolean).join(", ") : ""),
    );
    const first = bad[0] ?? all.find(isUnheard);
    this.#health.hidden = !first;
    if (!first) return;
    const name = first.name || formatPhone(first.phone_number);
    const [sign, text, action] = bad.length
      ? [icon("unlink"), t("app.needs_link", { name }), t("app.needs_link.action")]
      : [icon("alert"), t("app.unheard", { name }), t("app.unheard.action")];
    const link = el("button", { type: "button", class: "wa-link", onclick: () => this.#sessions.open(undefined, first.id) }, action);
    fill(this.#health, sign, el("span", {}, text), this.#backend.isAgent && link);
  }

  /** Single keys mean something outside of fields, and can be turned off. @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const inbox = this.#inbox;
    if (event.key === "F6" && inbox) {
      event.preventDefault();
      return inbox.nextPane();
    }
    if (event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]")) return;
    if (!hasShortcuts()) return;
    /** @type {Record<string, () => void>} */
    const ofInbox = inbox
      ? {
          "/": () => inbox.focusSearch(),
          j: () => inbox.openNeighbour(1),
          k: () => inbox.openNeighbour(-1),
          r: () => inbox.focusComposer(),
          e: () => void inbox.act("done"),
          u: () => void inbox.act("mark_unread"),
        }
      : {};
    /** @type {Record<string, () => void>} */
    const keys = { ...ofInbox, "?": showKeys };
    const run = keys[event.key.toLowerCase()];
    if (!run) return;
    event.preventDefault();
    run();
  }
}

customElements.define("wa-rail", Rail);
