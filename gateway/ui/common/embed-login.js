/**
 * The login of an embedded element: tickets of the page around it become tokens, and tokens are renewed in time.
 *
 * A ticket comes by the attribute `ticket`, or is asked for at the shop's own route (`ticket-url`). A minute before a
 * token ends, and when it has, `ticket-needed` is told; when nothing renewed it, `login-needed`, once.
 */

/** @import { Rest } from "./rest.js" */

const EARLY_MS = 60_000;
const ASK_AGAIN_MS = 10_000;
/** Browsers take a longer one for none. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class EmbedLogin extends EventTarget {
  /** The shop's own route for tickets. @type {string | null} */
  url = null;
  /** The token has ended, or no ticket was taken: what is shown is not kept up. */
  isOver = false;
  #rest;
  #endsAt = 0;
  #timer = 0;
  /** @type {Set<string>} tickets are good once */
  #used = new Set();

  /** @param {Rest} rest */
  constructor(rest) {
    super();
    this.#rest = rest;
  }

  /** Takes a ticket, which logs in, renews or revives. Throws `RestError`. @param {string} ticket */
  async take(ticket) {
    if (this.#used.has(ticket)) return;
    this.#used.add(ticket);
    const { data } = await this.#rest.redeem(ticket);
    this.#rest.token = data.token;
    this.#endsAt = Date.parse(data.expires_at);
    this.isOver = false;
    this.#schedule();
    this.#tell("renewed");
  }

  /** A ticket from the shop's own route. Throws what `fetch` throws, and an error for an answer without one. */
  async fetchTicket() {
    if (!this.url) throw new Error("There is no address to ask for a ticket.");
    const reply = await fetch(this.url, { method: "POST", credentials: "same-origin", headers: { Accept: "application/json" } });
    const body = await reply.json();
    const ticket = body?.ticket ?? body?.data?.ticket;
    if (!reply.ok || typeof ticket !== "string") throw new Error("The page's own address gave no ticket.");
    return ticket;
  }

  /** Nothing is asked for any more, until a ticket is taken. */
  rest() {
    clearTimeout(this.#timer);
  }

  /** Goes on where it rested. */
  wake() {
    if (this.#endsAt && !this.isOver) this.#schedule();
  }

  /** The gateway does not take the token any more. */
  async refused() {
    if (this.isOver || !this.#rest.token) return;
    await this.#end();
  }

  #schedule() {
    clearTimeout(this.#timer);
    const left = this.#endsAt - this.#rest.now();
    const wait = left > EARLY_MS ? left - EARLY_MS : Math.min(Math.max(left, 0), ASK_AGAIN_MS);
    this.#timer = setTimeout(() => void this.#onTimer(), Math.min(wait, LONGEST_TIMER_MS));
  }

  async #onTimer() {
    const left = this.#endsAt - this.#rest.now();
    if (left <= 0) return this.#end();
    if (left <= EARLY_MS) {
      const before = this.#endsAt;
      this.#schedule();
      if (!(await this.#renew()) || this.#endsAt === before) return;
    }
    this.#schedule();
  }

  /** Whether the shop's own route renewed it; else the page is asked. */
  async #renew() {
    if (this.url) {
      try {
        await this.take(await this.fetchTicket());
        return true;
      } catch {
        // The page may still have another way.
      }
    }
    this.#tell("ticket-needed");
    return false;
  }

  async #end() {
    clearTimeout(this.#timer);
    this.isOver = true;
    if (await this.#renew()) return;
    if (this.isOver) this.#tell("login-needed");
  }

  /** @param {string} name */
  #tell(name) {
    this.dispatchEvent(new Event(name));
  }
}
