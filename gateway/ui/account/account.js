/** `/account`: who one is here, one's password, and the browsers that are logged in. */

import { backend } from "../common/backend.js";
import { confirmed } from "../common/confirm.js";
import { el, fill, uniqueId } from "../common/dom.js";
import { KeyedList, LiveElement } from "../common/element.js";
import { field } from "../common/field.js";
import { ago, exactTime, initials } from "../common/format.js";
import { icon } from "../common/icons.js";
import { RestError } from "../common/rest.js";
import { t } from "../common/strings.js";
import { showFailure, showToast } from "../common/toast.js";
import { isPassword, numbersOf } from "../people/person.js";
import { deviceName, inOrder, isPhone } from "./devices.js";

/** @import { Login } from "./devices.js" */

const AGES_EVERY_MS = 30_000;

export class AccountPage extends LiveElement {
  #backend = backend();
  /** @type {Login[] | null} */
  #logins = null;
  #failure = "";
  #who = el("section", { class: "wa-account-who" });
  #password = el("section", { class: "wa-account-part" });
  #list = el("ul", { class: "wa-people-list" });
  #rows = new KeyedList(this.#list, (/** @type {{login: Login, drawn: string}} */ { login }) => this.#row(login));
  #others = el("button", { type: "button", class: "wa-button", hidden: true, data: { testid: "end-others" }, onclick: () => void this.#endOthers() }, icon("logout"), t("account.others"));
  #instead = el("div", { class: "wa-hint" });

  begin() {
    this.className = "wa-page";
    this.dataset.testid = "account";
    const title = uniqueId("account");
    this.setAttribute("role", "region");
    this.setAttribute("aria-labelledby", title);
    fill(
      this,
      el("header", { class: "wa-page-head" }, el("h1", { id: title }, t("app.account"))),
      this.#who,
      this.#password,
      el("section", { class: "wa-account-part" }, el("h2", {}, t("account.devices")), el("p", { class: "wa-hint" }, t("account.devices.hint")), this.#list, this.#instead, this.#others),
    );
    this.on(this.#backend.sessions, "change", () => this.redraw());
    this.every(AGES_EVERY_MS, () => this.redraw());
    void this.#load();
  }

  async #load() {
    this.#failure = "";
    try {
      await this.#backend.open();
      this.#showPassword();
      void this.#backend.sessions.load().catch(() => null); // a number without a name keeps its id
      this.#logins = (await this.#backend.rest.get("/api/account/logins", {}, this.signal)).data;
    } catch (error) {
      if (!this.isConnected) return;
      if (!(error instanceof RestError)) throw error;
      this.#failure = error.message;
    }
    this.redraw();
  }

  draw() {
    const { me, zone, rest } = this.#backend;
    this.dataset.state = this.#failure ? "failed" : this.#logins ? "loaded" : "loading";
    if (me) {
      const rights = `${t(`role.${me.role}`)} · ${numbersOf(me.sessions, this.#backend.sessions.list())}`;
      const drawn = JSON.stringify([me.name, me.sub, rights]);
      if (this.#who.dataset.drawn !== drawn) {
        this.#who.dataset.drawn = drawn;
        const name = me.name || me.sub;
        fill(
          this.#who,
          el("span", { class: "wa-person-face", "aria-hidden": "true" }, initials(name)),
          el("div", {}, el("p", { class: "wa-person-name" }, el("bdi", {}, name)), el("p", { class: "wa-hint", dir: "auto" }, rights)),
        );
      }
    }
    const logins = inOrder(this.#logins ?? []);
    this.#others.hidden = logins.every((login) => login.is_current);
    this.#rows.show(
      logins.map((login) => [login.id, { login, drawn: JSON.stringify([login, ago(login.seen_at, rest.now()), zone]) }]),
      (a, b) => a.drawn === b.drawn,
    );
    this.#showInstead();
  }

  #showInstead() {
    this.#instead.hidden = !this.#failure && this.#logins !== null && this.#logins.length > 0;
    const text = this.#failure || t(this.#logins ? "account.devices.none" : "account.loading");
    if (this.#instead.hidden || this.#instead.dataset.drawn === text) return;
    this.#instead.dataset.drawn = text;
    const again = el("button", { type: "button", class: "wa-button", onclick: () => void this.#load() }, t("action.retry"));
    fill(this.#instead, el("p", { dir: "auto" }, text), this.#failure && again);
  }

  // ------------------------------------------------------------------------------------------ password

  #showPassword() {
    const heading = el("h2", {}, t("account.password"));
    if (!this.#backend.me?.sub.startsWith("user:")) return fill(this.#password, heading, el("p", { class: "wa-hint" }, t("account.password.none")));
    const secret = { type: "password", autocapitalize: "none", spellcheck: "false", dir: "ltr" };
    const current = field(t("account.password.current"), "", { ...secret, name: "current", autocomplete: "current-password" });
    const fresh = field(t("account.password.new"), t("account.password.hint"), { ...secret, name: "new", autocomplete: "new-password" });
    const show = el("input", { type: "checkbox" });
    show.addEventListener("change", () => {
      for (const { input } of [current, fresh]) input.type = show.checked ? "text" : "password";
    });
    const submit = el("button", { type: "submit", class: "wa-button wa-strong" }, t("account.password.submit"));
    const form = el(
      "form",
      { class: "wa-form", novalidate: true, data: { testid: "password-form" } },
      // A password manager needs to know whose password it is.
      el("input", { type: "text", name: "username", autocomplete: "username", value: this.#backend.me.name, hidden: true, readonly: true }),
      current.element,
      fresh.element,
      el("label", { class: "wa-check" }, show, t("account.password.show")),
      el("div", {}, submit),
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      current.complain(current.input.value ? "" : t("account.password.missing"));
      fresh.complain(isPassword(fresh.input.value) ? "" : t("people.password.short"));
      if (!current.input.value) return current.input.focus();
      if (!isPassword(fresh.input.value)) return fresh.input.focus();
      if (submit.disabled) return;
      submit.disabled = true;
      try {
        await this.#backend.rest.post("/api/account/password", { current_password: current.input.value, new_password: fresh.input.value });
        form.reset();
        for (const { input } of [current, fresh]) input.type = "password";
        showToast(t("account.password.done"), { tone: "good" });
        void this.#load();
      } catch (error) {
        if (!(error instanceof RestError)) throw error;
        const wrong = error.details?.field === "current_password" ? current : fresh;
        wrong.complain(error.message);
        wrong.input.focus();
      } finally {
        submit.disabled = false;
      }
    });
    fill(this.#password, heading, form);
  }

  // ------------------------------------------------------------------------------------------ browsers

  /** @param {Login} login */
  #row(login) {
    const { zone, rest } = this.#backend;
    const seen = login.seen_at ?? login.created_at;
    const when = login.is_current ? t("account.current") : t("account.seen", { ago: ago(seen, rest.now()) });
    const device = deviceName(login.agent);
    return el(
      "li",
      { class: "wa-person-row", data: { testid: "login-row", current: login.is_current || null } },
      el("span", { class: "wa-person-face", "aria-hidden": "true" }, icon(isPhone(login.agent) ? "phone" : "keyboard")),
      el(
        "div",
        { class: "wa-person-facts" },
        el("p", { class: "wa-person-name" }, el("bdi", {}, device)),
        el("p", { class: "wa-hint", title: seen ? exactTime(Date.parse(seen), zone) : null }, when, login.address && " · ", login.address && el("bdi", { dir: "ltr" }, login.address)),
      ),
      !login.is_current && el("button", { type: "button", class: "wa-button", "aria-label": t("account.end.label", { device }), onclick: () => void this.#end(login) }, t("app.logout")),
    );
  }

  /** @param {Login} login */
  async #end(login) {
    try {
      await this.#backend.rest.delete(`/api/account/logins/${encodeURIComponent(login.id)}`);
    } catch (error) {
      // A login that has ended already is what was asked for.
      if (!(error instanceof RestError && error.status === 404)) return showFailure(error, { retry: () => void this.#end(login) });
    }
    this.#logins = (this.#logins ?? []).filter((one) => one.id !== login.id);
    this.redraw();
  }

  async #endOthers() {
    if (!(await confirmed(this, t("account.others.ask"), t("account.others")))) return;
    try {
      const { ended } = (await this.#backend.rest.delete("/api/account/logins")).data;
      this.#logins = (this.#logins ?? []).filter((login) => login.is_current);
      showToast(t("account.others.done", { n: ended }), { tone: "good" });
    } catch (error) {
      showFailure(error, { retry: () => void this.#endOthers() });
    }
    this.redraw();
  }
}

customElements.define("wa-account", AccountPage);
