/**
 * The right side while no conversation is open: who waits longest for an answer.
 *
 * The list holds the newest conversations, and who waits longest is often behind them: then the gateway is asked.
 */

import { avatar, WAITS_AFTER_MS } from "./conversation-row.js";
import { waitsSince } from "./conversations.js";
import { conversationKey } from "./order.js";
import { plainText } from "./rich-text.js";
import { el, fill } from "../common/dom.js";
import { displayName, waited } from "../common/format.js";
import { icon } from "../common/icons.js";
import { previewOf } from "../common/states.js";
import { t } from "../common/strings.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { Conversations } from "./conversations.js" */
/** @import { Conversation } from "../common/types.js" */

const SHOWN = 5;

export class WaitingPane {
  element = el("section", { class: "wa-waiting-pane", hidden: true, data: { testid: "waiting" } });
  #backend;
  #data;
  #open;
  #drawn = "";
  /** Who waited longest by the gateway's word. @type {string[]} */
  #longest = [];
  /** What that word was about. */
  #askedFor = "";

  /** @param {Backend} backend @param {Conversations} data @param {(key: string) => void} open */
  constructor(backend, data, open) {
    this.#backend = backend;
    this.#data = data;
    this.#open = open;
  }

  /** Shows what the list and the gateway know now. */
  show() {
    const now = this.#backend.rest.now();
    const { query, totals } = this.#data;
    const rows = this.#known(query.session);
    const waiting = rows
      .map((row) => ({ row, since: waitsSince(row) }))
      .filter((one) => one.since !== null)
      .sort((a, b) => Number(a.since) - Number(b.since));
    const total = totals?.unreplied ?? 0;
    if (total > waiting.length) void this.#ask(query.session, total);
    const n = Math.max(total, waiting.length);
    const shown = waiting.slice(0, SHOWN).map(({ row, since }) => {
      const ms = now - Number(since);
      return { row, for: ms < 60_000 ? t("thread.waited.now") : t("thread.waited", { time: waited(ms) }), isLong: ms >= WAITS_AFTER_MS };
    });
    const drawn = JSON.stringify([n, shown.map((one) => [conversationKey(one.row), one.for, one.isLong, one.row.name])]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    fill(
      this.element,
      icon(n ? "clock" : "done"),
      el("h2", {}, n ? t("thread.waiting", { n }) : t("thread.none")),
      el("p", { class: "wa-hint" }, n ? t("thread.waiting.hint") : t(rows.length ? "thread.waiting.none" : "thread.none.hint")),
      shown.length > 0 && el("ul", {}, ...shown.map((one) => this.#row(one.row, one.for, one.isLong))),
    );
  }

  /** @param {number | null} session @returns {Conversation[]} */
  #known(session) {
    const asked = this.#longest.flatMap((key) => this.#data.get(key) ?? []);
    const own = asked.filter((row) => session === null || row.session_id === session);
    return [...new Map([...this.#data.rows(), ...own].map((row) => [conversationKey(row), row])).values()];
  }

  /** Once for each number of those who wait. @param {number | null} session @param {number} total */
  async #ask(session, total) {
    const about = `${session} ${total}`;
    if (about === this.#askedFor) return;
    this.#askedFor = about;
    const query = { filter: "unreplied", order: "oldest", session, limit: SHOWN, position: "page" };
    const reply = await this.#backend.rest.get("/api/conversations", query).catch(() => null);
    if (!reply || about !== this.#askedFor) return;
    for (const row of reply.data.conversations) this.#data.put(row, reply.data.position);
    this.#longest = reply.data.conversations.map(conversationKey);
    if (this.element.isConnected && !this.element.hidden) this.show();
  }

  /** @param {Conversation} row @param {string} time @param {boolean} isLong */
  #row(row, time, isLong) {
    return el(
      "li",
      {},
      el(
        "button",
        { type: "button", class: "wa-row", onclick: () => this.#open(conversationKey(row)) },
        avatar(row, this.#backend.sessions.hueOf(row.session_id)),
        el("span", { class: "wa-row-name" }, el("bdi", {}, displayName(row))),
        el("span", { class: `wa-row-time${isLong ? " wa-row-waits" : ""}` }, isLong && icon("clock"), time),
        el("span", { class: "wa-row-preview" }, el("bdi", {}, row.last_message ? plainText(previewOf(row.last_message)) : "")),
      ),
    );
  }
}
