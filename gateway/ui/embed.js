/**
 * For other sites: one module script that defines `<whatsapp-inbox>` and `<whatsapp-sessions>` (docs/embedding.md).
 *
 * Each lives in a shadow root: the site's style does not reach into it, and ours not out of it. What is inside is the
 * page's own element, which the attributes are handed on to.
 */

import { WhatsAppInbox } from "./inbox/inbox.js";
import { WhatsAppSessions } from "./sessions/sessions.js";
import { backend } from "./common/backend.js";
import { connectionBanner } from "./common/banner.js";
import { el } from "./common/dom.js";
import { holdToasts } from "./common/toast.js";

/** @import { LiveElement } from "./common/element.js" */

const STYLE = new URL("embed.css", import.meta.url).href;
const REBUILT = ["session", "lang"];

/** @type {Promise<CSSStyleSheet> | null} */
let sheet = null;

/** One sheet for all elements. It is made by script, so that a site's policy for styles need not know of us. */
function style() {
  sheet ??= fetch(STYLE).then(async (reply) => new CSSStyleSheet().replace(inPixels(await reply.text())));
  return sheet;
}

/** `rem` is the size of the site's own root, whatever it has set there. @param {string} css */
const inPixels = (css) => css.replace(/(\d*\.?\d+)rem\b/g, (_, n) => `${Number(n) * 16}px`);

class Embedded extends HTMLElement {
  static observedAttributes = ["ticket", "ticket-url", "conversation", ...REBUILT];
  #root = this.attachShadow({ mode: "open" });
  #backend = backend();
  /** @type {AbortController | null} */
  #life = null;
  /** @type {(LiveElement & {openConversation?: (phone: string, session?: number | string) => void}) | null} */
  inner = null;
  /** What the site has asked for before there was anything to ask. @type {(() => void)[]} */
  #asked = [];

  /** @returns {LiveElement} */
  make() {
    throw new Error("made by the elements themselves");
  }

  connectedCallback() {
    this.#life = new AbortController();
    const { signal } = this.#life;
    const { login } = this.#backend;
    this.#backend.retain();
    login.url = this.getAttribute("ticket-url") ?? login.url;
    login.addEventListener("ticket-needed", () => this.#tell("ticket-needed"), { signal });
    this.#backend.addEventListener("login-needed", () => this.#tell("login-needed"), { signal });
    void this.#build(signal);
  }

  disconnectedCallback() {
    this.#life?.abort();
    this.#life = null;
    this.#root.replaceChildren();
    this.inner = null;
    this.#backend.release();
  }

  /** @param {string} name @param {string | null} before @param {string | null} now */
  attributeChangedCallback(name, before, now) {
    if (before === now || !this.#life) return;
    if (name === "ticket" && now) void this.#backend.renew(now);
    if (name === "ticket-url") this.#backend.login.url = now;
    if (name === "conversation" && now) this.inner?.openConversation?.(now);
    if (REBUILT.includes(name)) this.#show();
  }

  /** @param {AbortSignal} signal */
  async #build(signal) {
    try {
      this.#root.adoptedStyleSheets = [await style()];
    } catch {
      sheet = null; // without style it is ugly, and works
    }
    if (!signal.aborted) this.#show();
  }

  #show() {
    const inner = this.make();
    for (const name of ["ticket", "session", "conversation"]) {
      const value = this.getAttribute(name);
      if (value !== null) inner.setAttribute(name, value);
    }
    const lang = this.getAttribute("lang") ?? this.closest("[lang]")?.getAttribute("lang");
    if (lang) inner.setAttribute("lang", lang);
    this.inner = inner;
    const signal = /** @type {AbortController} */ (this.#life).signal;
    this.#root.replaceChildren(el("div", { class: "wa-embed" }, connectionBanner(this.#backend, signal), inner));
    holdToasts(this.#root, signal);
    for (const run of this.#asked.splice(0)) run();
  }

  /** Now, or as soon as the element shows something. @param {() => void} run */
  whenShown(run) {
    if (this.inner) run();
    else this.#asked.push(run);
  }

  /** @param {string} name */
  #tell(name) {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true }));
  }
}

class EmbeddedInbox extends Embedded {
  make() {
    return new WhatsAppInbox();
  }

  /** Opens the conversation with a number or JID. @param {string} phone @param {number | string} [session] */
  openConversation(phone, session) {
    this.whenShown(() => this.inner?.openConversation?.(phone, session));
  }

  /** Puts a text into the reply box of the open conversation, to be looked at and sent by a person. @param {string} text */
  compose(text) {
    this.whenShown(() => /** @type {WhatsAppInbox | null} */ (this.inner)?.compose(text));
  }
}

class EmbeddedSessions extends Embedded {
  make() {
    return new WhatsAppSessions();
  }

  /** Opens the modal: the list, or the code of one number. @param {number} [id] */
  open(id) {
    /** @type {WhatsAppSessions | null} */ (this.inner)?.open(undefined, id);
  }

  close() {
    /** @type {WhatsAppSessions | null} */ (this.inner)?.close();
  }
}

customElements.define("whatsapp-inbox", EmbeddedInbox);
customElements.define("whatsapp-sessions", EmbeddedSessions);
