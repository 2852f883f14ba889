/** What every element of the page shares: who is logged in, REST, the live connection, and the sessions. */

import { connect } from "../client.js";
import { EmbedLogin } from "./embed-login.js";
import { MediaSource } from "./media-source.js";
import { Rest, RestError } from "./rest.js";
import { SessionStore } from "../sessions/session-store.js";
import { showFailure, showToast } from "./toast.js";
import { t } from "./strings.js";

/** @import { Me, Template } from "./types.js" */

/** A colleague may change them meanwhile. */
const TEMPLATES_LAST_MS = 60_000;

/** The gateway these files came from, also when another site embeds them or a proxy puts a path before them. */
const BASE = import.meta.url.slice(0, import.meta.url.lastIndexOf("/ui/"));

export class Backend extends EventTarget {
  rest;
  client;
  sessions;
  media;
  login;
  /** Embedded elements that are on a page. */
  #elements = 0;
  /** @type {Map<number, {found: Promise<Template[]>, at: number}>} */
  #templates = new Map();
  /** @type {Me | null} */
  me = null;
  /** @type {Promise<Me> | null} */
  #ready = null;

  /** @param {{rest?: Rest, client?: import("../client.js").Client}} [parts]  others than this page's own, for the gallery */
  constructor({ rest = new Rest(BASE), client } = {}) {
    super();
    this.rest = rest;
    this.client = client ?? this.#connect();
    this.sessions = new SessionStore(this.rest, this.client);
    this.media = new MediaSource(this.rest);
    this.login = new EmbedLogin(this.rest);
    this.login.addEventListener("renewed", () => this.#renewed());
    this.login.addEventListener("login-needed", () => this.#loggedOut());
    this.rest.onUnauthenticated = () => this.#refused();
  }

  #connect() {
    return connect(`${BASE}/ws`, {
      lazy: true,
      token: () => this.rest.token,
      onEnd: (code) => this.#stopped(code),
      onVersion: () =>
        showToast(t("app.version"), {
          tone: "calm",
          action: { text: t("app.reload"), run: () => location.reload() },
        }),
    });
  }

  get zone() {
    return this.me?.timezone || "UTC";
  }

  /** Whether the login may connect numbers, see codes and answer. */
  get isAgent() {
    return this.me?.role === "agent" || this.me?.role === "admin";
  }

  /** Whether this login may write, and the gateway sends. */
  get canSend() {
    return this.isAgent && this.me?.can_send === true;
  }

  /** The shop's texts for a number; none where the gateway has no templates. @param {number} session @returns {Promise<Template[]>} */
  templates(session) {
    const known = this.#templates.get(session);
    if (known && Date.now() - known.at < TEMPLATES_LAST_MS) return known.found;
    const found = this.rest.get("/api/templates", { session }).then(
      (reply) => reply.data ?? [],
      () => {
        this.#templates.delete(session); // asked for again at the next slash
        return [];
      },
    );
    this.#templates.set(session, { found, at: Date.now() });
    return found;
  }

  /** They have changed. */
  forgetTemplates() {
    this.#templates.clear();
    this.dispatchEvent(new Event("templates"));
  }

  get isAdmin() {
    return this.me?.role === "admin";
  }

  /**
   * Asks who we are and opens the live connection; once, whoever asks.
   *
   * @param {string | null} [ticket]  a one-time ticket of an embedding page, exchanged for a token
   */
  open(ticket = null) {
    this.#ready ??= this.#open(ticket).catch((error) => {
      this.#ready = null;
      throw error;
    });
    return this.#ready;
  }

  /** @param {string | null} ticket @returns {Promise<Me>} */
  async #open(ticket) {
    try {
      if (ticket) await this.login.take(ticket);
      else if (this.login.url && !this.rest.token) await this.login.take(await this.login.fetchTicket());
    } catch (error) {
      this.login.isOver = true;
      this.login.dispatchEvent(new Event("ticket-needed"));
      this.#loggedOut();
      throw error instanceof RestError ? error : new RestError(t("connection.login"));
    }
    const me = (await this.rest.get("/api/me")).data;
    this.me = me;
    this.client.open();
    this.dispatchEvent(new Event("open"));
    return me;
  }

  /** An embedded element has come onto the page. */
  retain() {
    this.#elements += 1;
    if (!this.me || this.login.isOver) return;
    this.client.open();
    this.login.wake();
  }

  /** One has left: with the last of them the connection ends. An element that is only moved comes back at once. */
  release() {
    this.#elements -= 1;
    setTimeout(() => {
      if (this.#elements > 0) return;
      this.client.close();
      this.login.rest();
    });
  }

  /** Another ticket of the page around: it renews the login, or revives what has ended. @param {string} ticket */
  async renew(ticket) {
    try {
      if (this.#ready) await this.#ready.catch(() => null);
      await this.login.take(ticket);
    } catch (error) {
      if (this.login.isOver || !this.me) this.#loggedOut();
      else showFailure(error);
    }
  }

  #renewed() {
    if (this.me && this.#elements > 0) this.client.open();
    this.dispatchEvent(new Event("renewed"));
  }

  /** @param {number} code */
  #stopped(code) {
    if (code === 4501) return this.#refused();
    if (code === 4503) showToast(t("connection.forbidden"));
    if (code === 4529) showToast(t("connection.too_many"));
  }

  /** Another ticket may help an embedded page; else only a new login does. */
  #refused() {
    if (this.rest.token) void this.login.refused();
    else this.#loggedOut();
  }

  #loggedOut() {
    this.client.close();
    this.dispatchEvent(new CustomEvent("login-needed", { detail: { over: this.me !== null } }));
  }
}

/** @type {Backend | null} */
let shared = null;

/** Puts another backend in the place of the page's own, before any element is made. @param {Backend} backend */
export function useBackend(backend) {
  shared = backend;
}

/** The one backend of this page. */
export function backend() {
  shared ??= new Backend();
  return shared;
}
