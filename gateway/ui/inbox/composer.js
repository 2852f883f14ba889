/** The reply box. Enter sends, Shift+Enter breaks the line, and an input method's Enter does neither. */

import { el } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { t } from "../shared/strings.js";

/** @import { Backend } from "../shared/backend.js" */

const MAX_HEIGHT_PX = 160;

export class Composer {
  #backend;
  #send;
  #key = "";
  /** @type {Map<string, string>} what was being written, by conversation */
  #drafts = new Map();
  #input;
  #button;
  #hint = el("p", { class: "wa-hint" });

  /** @param {Backend} backend @param {(text: string) => void} send */
  constructor(backend, send) {
    this.#backend = backend;
    this.#send = send;
    this.#input = el("textarea", {
      class: "wa-input",
      rows: 1,
      dir: "auto",
      "aria-label": t("composer.label"),
      placeholder: t("composer.placeholder"),
      enterkeyhint: "send",
      data: { testid: "composer" },
    });
    this.#button = el(
      "button",
      { type: "submit", class: "wa-button wa-strong", data: { testid: "send-button" } },
      icon("send"),
      t("composer.send"),
    );
    this.#input.addEventListener("input", () => this.#changed());
    this.#input.addEventListener("keydown", (event) => this.#onKey(event));
    this.element = el(
      "form",
      { class: "wa-composer" },
      el("div", { class: "wa-composer-row" }, this.#input, this.#button),
      this.#hint,
    );
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  /** @param {string} key  of the conversation @param {boolean} connected */
  show(key, connected) {
    if (key !== this.#key) {
      this.#key = key;
      this.#input.value = this.#drafts.get(key) ?? "";
    }
    this.element.hidden = !this.#backend.isAgent;
    const on = this.#backend.me?.can_send === true;
    this.#input.disabled = !on;
    this.#hint.textContent = on ? (connected ? "" : t("composer.not_connected")) : t("composer.off");
    this.#changed();
  }

  #changed() {
    const text = this.#input.value;
    if (text) this.#drafts.set(this.#key, text);
    else this.#drafts.delete(this.#key);
    this.#button.disabled = this.#input.disabled || !text.trim();
    this.#input.style.blockSize = "auto";
    if (this.#input.scrollHeight)
      this.#input.style.blockSize = `${Math.min(this.#input.scrollHeight + 2, MAX_HEIGHT_PX)}px`;
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    if (matchMedia("(pointer: coarse)").matches) return; // on a phone Enter is a new line
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = this.#input.value.trim();
    if (!text || this.#button.disabled) return;
    this.#input.value = "";
    this.#changed();
    this.#send(text);
  }
}
