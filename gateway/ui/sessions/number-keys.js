/** API key and webhook secret of one number: hidden, shown for half a minute at a person's wish, and renewed. */

import { confirmed } from "../common/confirm.js";
import { el, fill } from "../common/dom.js";
import { icon } from "../common/icons.js";
import { t } from "../common/strings.js";
import { showFailure, showToast } from "../common/toast.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { TextKey } from "../common/strings.js" */
/** @import { Session } from "../common/types.js" */

const SHOWN_MS = 30_000;
const DOTS = "•".repeat(12);

/** @typedef {"api_key" | "webhook_secret"} Secret */

/** @type {Record<Secret, TextKey>} */
const NAMES = { api_key: "keys_of.api_key", webhook_secret: "keys_of.webhook_secret" };

/** Dots and the last four. @param {string} secret */
export function hidden(secret) {
  return secret.length >= 12 ? DOTS + secret.slice(-4) : DOTS;
}

export class NumberKeys {
  #backend;
  #session;
  /** Whole only while it is shown; of a hidden one its last four stay. @type {Record<Secret, string>} */
  #known = { api_key: DOTS, webhook_secret: DOTS };
  #isShown = false;
  #isBusy = false;
  #timer = 0;
  #list = el("dl", { class: "wa-keys-list" });
  #reveal = el("button", { type: "button", class: "wa-button", data: { testid: "reveal-keys" }, onclick: () => void this.#toggle() });
  #renew = el("button", { type: "button", class: "wa-button wa-danger", data: { testid: "renew-key" }, onclick: () => void this.#regenerate() }, t("keys_of.renew"));

  /** @param {Backend} backend @param {Session} session */
  constructor(backend, session) {
    this.#backend = backend;
    this.#session = session;
    this.element = el(
      "section",
      { class: "wa-number-keys", "aria-label": t("keys_of.title", { name: session.name }), data: { testid: "number-keys" } },
      el("p", { class: "wa-hint" }, t("keys_of.lead")),
      this.#list,
      el("div", { class: "wa-session-buttons" }, this.#reveal, this.#renew),
    );
    this.#draw();
  }

  /** What was shown is forgotten. */
  end() {
    this.#hide();
  }

  #draw() {
    const rows = /** @type {Secret[]} */ (Object.keys(NAMES)).map((name) => {
      const copy = el("button", { type: "button", class: "wa-ghost wa-square", "aria-label": t("keys_of.copy", { name: t(NAMES[name]) }), onclick: () => void this.#copy(name) }, icon("copy"));
      const value = this.#known[name];
      return el("div", {}, el("dt", {}, t(NAMES[name])), el("dd", {}, el("code", { dir: "ltr", data: { testid: `secret-${name}` } }, value || t("keys_of.none")), this.#isShown && value && copy));
    });
    fill(this.#list, ...rows);
    this.#reveal.textContent = t(this.#isShown ? "keys_of.hide" : "keys_of.show");
    this.#reveal.disabled = this.#renew.disabled = this.#isBusy;
  }

  #hide() {
    clearTimeout(this.#timer);
    if (this.#isShown) for (const name of /** @type {Secret[]} */ (Object.keys(NAMES))) this.#known[name] = this.#known[name] && hidden(this.#known[name]);
    this.#isShown = false;
    this.#draw();
  }

  async #toggle() {
    if (this.#isShown) return this.#hide();
    await this.#busy(async () => {
      const { data } = await this.#backend.rest.get(`/api/whatsapp-sessions/${this.#session.id}`, { reveal: "secrets" });
      this.#known = { api_key: data.api_key, webhook_secret: data.webhook_secret };
      this.#isShown = true;
      this.#timer = setTimeout(() => this.#hide(), SHOWN_MS);
    });
  }

  /** @param {Secret} name */
  async #copy(name) {
    await navigator.clipboard.writeText(this.#known[name]);
    showToast(t("message.copied"), { tone: "good" });
  }

  async #regenerate() {
    if (!(await confirmed(this.element, t("keys_of.renew.ask"), t("keys_of.renew")))) return;
    await this.#busy(async () => {
      await this.#backend.rest.post(`/api/whatsapp-sessions/${this.#session.id}/regenerate-key`);
      this.#hide();
      this.#known.api_key = DOTS;
      showToast(t("keys_of.renewed"), { tone: "good" });
    });
  }

  /** @param {() => Promise<void>} work */
  async #busy(work) {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#draw();
    try {
      await work();
    } catch (error) {
      showFailure(error);
    } finally {
      this.#isBusy = false;
      this.#draw();
    }
  }
}
