/** The shop's own texts, chosen by typing `/` and a few letters. */

import { el } from "../common/dom.js";
import { icon } from "../common/icons.js";
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
  #manage;
  /** @type {string | null} */
  #wanted = null;
  #backend;
  #pick;
  #options = el("ul", { role: "listbox", class: "wa-template-options" });
  #manager = el("button", { type: "button", class: "wa-link wa-template-manage" });
  element = el("div", { class: "wa-templates", hidden: true, data: { testid: "templates" } }, this.#options, this.#manager);

  /** @param {Backend} backend @param {(template: Template) => void} pick @param {() => void} manage  shows where they are written */
  constructor(backend, pick, manage) {
    this.#backend = backend;
    this.#pick = pick;
    this.#manage = manage;
    this.#options.setAttribute("aria-label", t("composer.templates"));
    this.#manager.textContent = t("templates.manage");
    this.#manager.addEventListener("click", () => this.#manage());
  }

  /** Of which number the list is; asked for when a person first wants to see it. @param {number} session */
  of(session) {
    if (session === this.#session) return;
    this.#session = session;
    this.forget();
  }

  /** They are asked for again. */
  forget() {
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
    if (wanted === null) this.#isAsked = false; // the next slash asks again, which costs nothing for a minute
    else void this.#load();
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
    const isManaged = this.#wanted !== null && this.#backend.isAdmin && !this.#wanted;
    this.element.hidden = this.#shown.length === 0 && !isManaged;
    this.#manager.hidden = !isManaged;
    this.#options.replaceChildren(
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
          template.media && icon(template.media.kind === "image" ? "image" : "document"),
          el("span", { dir: "auto" }, template.text || template.media?.name || ""),
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
