/** The shop's own texts, chosen by typing `/` and a few letters. */

import { el } from "../common/dom.js";
import { t } from "../common/strings.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { Template } from "../common/types.js" */

const MOST_SHOWN = 8;

export class TemplateList {
  /** @type {Template[]} */
  #all = [];
  /** @type {Template[]} */
  #shown = [];
  #at = 0;
  /** @type {number | null} */
  #session = null;
  #isAsked = false;
  /** @type {string | null} */
  #wanted = null;
  #backend;
  #pick;
  element = el("ul", { class: "wa-templates", role: "listbox", hidden: true, data: { testid: "templates" } });

  /** @param {Backend} backend @param {(template: Template) => void} pick */
  constructor(backend, pick) {
    this.#backend = backend;
    this.#pick = pick;
    this.element.setAttribute("aria-label", t("composer.templates"));
  }

  /** Of which number the list is; asked for when a person first wants to see it. @param {number} session */
  of(session) {
    if (session === this.#session) return;
    this.#session = session;
    this.#all = [];
    this.#isAsked = false;
  }

  async #load() {
    const session = this.#session;
    if (session === null || this.#isAsked) return;
    this.#isAsked = true;
    const all = await this.#backend.templates(session);
    if (this.#session !== session) return;
    this.#all = all;
    this.filter(this.#wanted);
  }

  /** @param {string | null} wanted  what stands behind the slash; null hides the list */
  filter(wanted) {
    this.#wanted = wanted;
    if (wanted !== null) void this.#load();
    const text = wanted?.toLowerCase() ?? "";
    this.#shown =
      wanted === null
        ? []
        : this.#all
            .filter((one) => one.shortcut.toLowerCase().startsWith(text) || one.text.toLowerCase().includes(text))
            .slice(0, MOST_SHOWN);
    this.#at = 0;
    this.#show();
  }

  #show() {
    this.element.hidden = this.#shown.length === 0;
    this.element.replaceChildren(
      ...this.#shown.map((template, at) =>
        el(
          "li",
          {
            role: "option",
            "aria-selected": String(at === this.#at),
            onmousedown: (/** @type {Event} */ event) => {
              event.preventDefault();
              this.#choose(template);
            },
          },
          el("strong", { dir: "ltr" }, `/${template.shortcut}`),
          el("span", { dir: "auto" }, template.text),
        ),
      ),
    );
  }

  /** @param {Template} template */
  #choose(template) {
    this.#shown = [];
    this.#show();
    this.#pick(template);
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether the key was meant for the list */
  onKey(event) {
    const many = this.#shown.length;
    if (!many) return false;
    if (event.key === "ArrowDown") this.#at = (this.#at + 1) % many;
    else if (event.key === "ArrowUp") this.#at = (this.#at + many - 1) % many;
    else if (event.key === "Escape") this.#shown = [];
    else if (event.key === "Enter" || event.key === "Tab") {
      event.preventDefault();
      this.#choose(this.#shown[this.#at]);
      return true;
    } else return false;
    event.preventDefault();
    event.stopPropagation();
    this.#show();
    return true;
  }
}
