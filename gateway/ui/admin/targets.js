/** Webhooks out: who else is sent what happens here, what waits and what was given up. For administrators. */

import { backend } from "../common/backend.js";
import { confirmed } from "../common/confirm.js";
import { el, fill, uniqueId } from "../common/dom.js";
import { KeyedList, LiveElement } from "../common/element.js";
import { icon } from "../common/icons.js";
import { showMenu } from "../common/menu.js";
import { RestError } from "../common/rest.js";
import { t } from "../common/strings.js";
import { showFailure, showToast } from "../common/toast.js";
import { numbersOf } from "../people/person.js";
import { showDeadLetters } from "./dead-letters.js";
import { askTarget } from "./target-form.js";
import { PATH, stateOf, TONES } from "./target.js";

/** @import { Target } from "./target.js" */

const LOOK_EVERY_MS = 15_000;

export class TargetsSection extends LiveElement {
  #backend = backend();
  /** @type {Target[]} */
  #targets = [];
  /** @type {"loading" | "loaded" | "failed" | "forbidden"} */
  #state = "loading";
  #failure = "";
  #level;
  #list = el("ul", { class: "wa-people-list" });
  #rows = new KeyedList(this.#list, (/** @type {{target: Target, drawn: string}} */ { target }) => this.#row(target));
  #add = el("button", { type: "button", class: "wa-button", data: { testid: "add-target" }, onclick: () => void this.#ask() }, icon("plus"), t("targets.add"));
  #instead = el("div", { class: "wa-hint wa-targets-instead" });
  #given = el("div", { class: "wa-given", role: "status", hidden: true, data: { testid: "target-secret" } });

  /** @param {"h1" | "h2"} [level]  of its heading */
  constructor(level = "h2") {
    super();
    this.#level = level;
  }

  begin() {
    this.dataset.testid = "targets";
    const title = uniqueId("targets");
    this.setAttribute("role", "region");
    this.setAttribute("aria-labelledby", title);
    fill(
      this,
      el("header", { class: "wa-page-head" }, el(this.#level, { id: title }, t("targets.title")), this.#add),
      el("p", { class: "wa-hint" }, t("targets.lead")),
      this.#given,
      this.#list,
      this.#instead,
    );
    this.on(this.#backend.sessions, "change", () => this.redraw());
    this.every(LOOK_EVERY_MS, () => document.hidden || void this.#load());
    void this.#load();
  }

  async #load() {
    try {
      await this.#backend.open();
      if (this.#state === "loading") void this.#backend.sessions.load().catch(() => null); // a number without a name keeps its id
      this.#targets = (await this.#backend.rest.get(PATH, {}, this.signal)).data;
      this.#state = "loaded";
    } catch (error) {
      if (!this.isConnected) return;
      if (!(error instanceof RestError)) throw error;
      if (this.#state === "loaded" && error.status !== 403) return;
      this.#state = error.status === 403 ? "forbidden" : "failed";
      this.#failure = error.message;
    }
    this.redraw();
  }

  draw() {
    const shown = this.#state === "loaded";
    this.dataset.state = this.#state;
    this.#add.hidden = !shown;
    this.#list.hidden = !shown || !this.#targets.length;
    this.#instead.hidden = shown && this.#targets.length > 0;
    if (this.#state === "loading") fill(this.#instead, t("targets.loading"));
    else if (this.#state === "forbidden") fill(this.#instead, t("targets.forbidden"));
    else if (this.#state === "failed") fill(this.#instead, el("p", { dir: "auto" }, this.#failure), el("button", { type: "button", class: "wa-button", onclick: () => void this.#load() }, t("action.retry")));
    else fill(this.#instead, t("targets.empty"));
    const sessions = this.#backend.sessions.list();
    this.#rows.show(
      this.#targets.map((target) => [String(target.id), { target, drawn: JSON.stringify([target, numbersOf(target.sessions, sessions)]) }]),
      (a, b) => a.drawn === b.drawn,
    );
  }

  /** @param {Target} target */
  #row(target) {
    const state = stateOf(target);
    const events = target.events === "*" ? t("targets.events.all") : target.events.join(", ");
    const more = el("button", { type: "button", class: "wa-ghost wa-square", "aria-haspopup": "menu", "aria-label": t("targets.actions", { url: target.url }) }, icon("more"));
    more.addEventListener("click", () => this.#showActions(more, target));
    return el(
      "li",
      { class: "wa-person-row", data: { testid: "target-row", target: target.id, state } },
      el(
        "div",
        { class: "wa-person-facts" },
        el("p", { class: "wa-person-name" }, el("bdi", { dir: "ltr" }, target.url)),
        el("p", { class: "wa-hint", dir: "auto" }, [t(`targets.mode.${target.mode}`), numbersOf(target.sessions, this.#backend.sessions.list()), events].join(" · ")),
        target.paused_reason && el("p", { class: "wa-hint", dir: "auto" }, target.paused_reason),
      ),
      el("span", { class: `wa-badge wa-tone-${TONES[state]}` }, t(`targets.state.${state}`, { n: state === "dead" ? target.dead : target.waiting })),
      el("button", { type: "button", class: "wa-button", onclick: () => void this.#test(target) }, t("targets.test")),
      more,
    );
  }

  /** @param {HTMLElement} opener @param {Target} target */
  #showActions(opener, target) {
    const paused = target.paused_reason !== null;
    showMenu(
      opener,
      [
        paused
          ? { text: t("targets.resume"), icon: "check", run: () => void this.#change(target, { paused: false }) }
          : { text: t("targets.pause"), icon: "block", run: () => void this.#change(target, { paused: true }) },
        { text: t("targets.letters"), icon: "alert", run: () => void showDeadLetters(this.#backend, this, target).then(() => this.#load()) },
        ...(target.mode === "standard" ? [{ text: t("targets.rotate"), icon: /** @type {const} */ ("key"), run: () => void this.#rotate(target) }] : []),
        { text: t("targets.remove"), icon: "trash", bad: true, run: () => void this.#remove(target) },
      ],
      t("targets.actions", { url: target.url }),
    );
  }

  async #ask() {
    const added = await askTarget(this.#backend, this);
    if (!added) return;
    if (added.mode === "standard") this.#showSecret(added.secret ?? "");
    await this.#load();
  }

  /** The one moment in which the secret can be read. @param {string} secret */
  #showSecret(secret) {
    const copy = async () => {
      await navigator.clipboard.writeText(secret).catch(() => null);
      showToast(t("message.copied"), { tone: "good" });
    };
    const close = () => {
      fill(this.#given);
      this.#given.hidden = true;
    };
    this.#given.hidden = false;
    fill(
      this.#given,
      el("p", {}, t("targets.secret")),
      el("code", { dir: "ltr" }, secret),
      el("button", { type: "button", class: "wa-button", onclick: () => void copy() }, icon("copy"), t("people.password.copy")),
      el("button", { type: "button", class: "wa-button", onclick: close }, t("people.password.done")),
    );
  }

  /** @param {Target} target */
  async #test(target) {
    try {
      const said = (await this.#backend.rest.post(`${PATH}/${target.id}/test`)).data;
      if (said.is_taken) showToast(t("targets.tested"), { tone: "good" });
      else showToast(t("targets.tested.not", { answer: said.answer }), { tone: "bad" });
    } catch (error) {
      showFailure(error);
    }
  }

  /** @param {Target} target @param {Record<string, unknown>} changes */
  async #change(target, changes) {
    try {
      await this.#backend.rest.put(`${PATH}/${target.id}`, changes);
      await this.#load();
    } catch (error) {
      showFailure(error);
    }
  }

  /** @param {Target} target */
  async #rotate(target) {
    if (!(await confirmed(this, t("targets.rotate.ask"), t("targets.rotate")))) return;
    try {
      const changed = (await this.#backend.rest.put(`${PATH}/${target.id}`, { rotate_secret: true })).data;
      this.#showSecret(changed.secret ?? "");
      await this.#load();
    } catch (error) {
      showFailure(error);
    }
  }

  /** @param {Target} target */
  async #remove(target) {
    if (!(await confirmed(this, t("targets.remove.ask", { url: target.url }), t("targets.remove")))) return;
    try {
      await this.#backend.rest.delete(`${PATH}/${target.id}`);
    } catch (error) {
      if (!(error instanceof RestError && error.status === 404)) return showFailure(error);
    }
    await this.#load();
  }
}

customElements.define("wa-targets", TargetsSection);
