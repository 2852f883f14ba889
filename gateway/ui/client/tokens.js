/** The login of a connection: where its token or ticket comes from, and when a new token is due. */

/** @import { ConnectOptions } from "../client.js" */

const EARLY_MS = 60_000;
const AGAIN_MS = 10_000;

/** `exp` of a JWT in ms, or null. The signature is the server's business. @param {string} token */
export function expiryOf(token) {
  try {
    const body = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const { exp } = JSON.parse(atob(body));
    return typeof exp === "number" ? exp * 1000 : null;
  } catch {
    return null;
  }
}

export class Tokens {
  /** @type {string | null} */
  #token = null;
  /** @type {number | null} */
  #renewAt = null;
  #source;
  #ticket;
  #now;

  /** @param {Pick<ConnectOptions, "token" | "ticket">} sources @param {() => number} now */
  constructor({ token, ticket }, now) {
    this.#source = token;
    this.#ticket = ticket;
    this.#now = now;
  }

  /** Whether another login could be had than the one that was refused. */
  get canRenew() {
    return typeof this.#source === "function" || this.#ticket !== undefined;
  }

  /** Whether a new token should be asked for now. */
  get isDue() {
    return this.#renewAt !== null && this.#now() >= this.#renewAt;
  }

  /** Nothing is asked of anybody: the cookie is the login. */
  get isCookie() {
    return this.#source === undefined && this.#ticket === undefined;
  }

  /** What to show at the next connection. Throws what the sources throw. */
  async show() {
    if (this.#ticket) return { ticket: await this.#ticket(), token: null };
    if (this.#token === null || this.isDue) await this.renew();
    return { ticket: null, token: this.#token };
  }

  /** A new token, or null if the source still has the old one. */
  async renew() {
    const before = this.#token;
    this.postpone();
    const token = (typeof this.#source === "function" ? await this.#source() : this.#source) ?? null;
    this.#token = token;
    this.#renewAt = token === null || typeof this.#source !== "function" ? null : this.#due(token);
    return token === before ? null : token;
  }

  /** The new token was refused, or is on its way: not asked for again before a while. */
  postpone() {
    if (this.#renewAt !== null) this.#renewAt = this.#now() + AGAIN_MS;
  }

  /** The server did not take it. */
  forget() {
    this.#token = null;
  }

  /** @param {string} token */
  #due(token) {
    const expiresAt = expiryOf(token);
    if (expiresAt === null) return null;
    const now = this.#now();
    const due = expiresAt - Math.min(EARLY_MS, (expiresAt - now) / 10);
    // A source that gives the same token again, or a clock that is wrong, must not make us ask all the time.
    return Math.max(due, now + AGAIN_MS);
  }
}
