/** What happened to one number, by day: who did what and when, kept up while it is open, to be saved as a file. */

import { el, fill } from "../common/dom.js";
import { clockTime, dayName, dayNumber, exactTime } from "../common/format.js";
import { icon } from "../common/icons.js";
import { RestError } from "../common/rest.js";
import { prettify } from "../common/states.js";
import { hasText, t } from "../common/strings.js";
import { showFailure } from "../common/toast.js";
import { troubleOf } from "./link-trouble.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { IconName } from "../common/icons.js" */
/** @import { Session } from "../common/types.js" */

/**
 * @typedef {object} LogRow
 * @property {number} id
 * @property {string} event_type
 * @property {string | null} message
 * @property {any} metadata
 * @property {string | null} created_at
 * @property {string | null} actor
 */

const PAGE = 50;
const AFTER_CHANGE_MS = 400;
const FILE_ROWS = 200;

/** @type {Record<string, IconName>} */
const ICONS = { connected: "check", scanned: "phone", qr_generated: "qr", error: "alert", link_timeout: "clock", disconnected: "unlink", logged_out: "unlink", expired: "clock", secrets_revealed: "user", link_started: "link" };

/** The words for an event; what is new keeps its own. @param {string} event */
export function eventName(event) {
  const key = `log.${event}`;
  return hasText(key) ? t(key) : prettify(event);
}

/** Why, in words of ours where the code is known. @param {LogRow} row */
export function reasonOf(row) {
  const error = row.metadata?.error;
  if (error?.code) return `${t(troubleOf({ cause: error.code, error: null }).title)}: ${error.message ?? ""}`;
  return hasText(`log.${row.event_type}`) && !row.metadata?.reason ? "" : (row.message ?? "");
}

export class NumberLog {
  #backend;
  #session;
  /** @type {LogRow[]} */
  #rows = [];
  /** @type {string | null} */
  #cursor = null;
  #kind = "";
  /** @type {Set<string>} */
  #kinds = new Set();
  /** @type {"loading" | "loaded" | "failed"} */
  #state = "loading";
  #failure = "";
  #timer = 0;
  #isOver = false;
  #select = el("select", { class: "wa-input", "aria-label": t("log.filter"), onchange: () => this.#choose() });
  #list = el("div", { class: "wa-log-days" });
  #more = el("button", { type: "button", class: "wa-button", hidden: true, onclick: () => void this.#load(true) }, t("log.older"));
  #subscription;

  /** @param {Backend} backend @param {Session} session */
  constructor(backend, session) {
    this.#backend = backend;
    this.#session = session;
    const save = (/** @type {"csv" | "json"} */ kind) =>
      el("button", { type: "button", class: "wa-button", onclick: () => void this.#save(kind) }, icon("download"), kind.toUpperCase());
    this.element = el(
      "section",
      { class: "wa-number-log", "aria-label": t("log.title", { name: session.name }), data: { testid: "log-drawer" } },
      el("div", { class: "wa-log-tools" }, this.#select, save("csv"), save("json")),
      this.#list,
      this.#more,
    );
    this.#subscription = backend.client.session(session.id, { onState: () => this.#soon() });
    this.#draw();
    void this.#load(false);
  }

  /** Nothing more is asked for. */
  end() {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#subscription.close();
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#load(false), AFTER_CHANGE_MS);
  }

  #choose() {
    this.#kind = this.#select.value;
    this.#rows = [];
    this.#state = "loading";
    this.#draw();
    void this.#load(false);
  }

  get #path() {
    return `/api/whatsapp-sessions/${this.#session.id}/logs`;
  }

  /** @param {boolean} older */
  async #load(older) {
    const kind = this.#kind;
    try {
      const reply = await this.#backend.rest.get(this.#path, { event_type: kind, limit: PAGE, cursor: older ? this.#cursor : null });
      if (this.#isOver || kind !== this.#kind) return;
      const known = new Set(this.#rows.map((row) => row.id));
      const fresh = /** @type {LogRow[]} */ (reply.data).filter((row) => !known.has(row.id));
      if (older || !this.#rows.length) this.#cursor = reply.next_cursor ?? null;
      this.#rows = [...this.#rows, ...fresh].sort((a, b) => Date.parse(b.created_at ?? "") - Date.parse(a.created_at ?? "") || b.id - a.id);
      this.#state = "loaded";
    } catch (error) {
      if (this.#isOver) return;
      if (!(error instanceof RestError)) throw error;
      if (this.#rows.length) return showFailure(error);
      this.#state = "failed";
      this.#failure = error.message;
    }
    this.#draw();
  }

  #draw() {
    for (const row of this.#rows) this.#kinds.add(row.event_type);
    const names = [...this.#kinds].map((kind) => /** @type {const} */ ([kind, eventName(kind)])).sort((a, b) => a[1].localeCompare(b[1]));
    const drawn = JSON.stringify(names);
    if (this.#select.dataset.drawn !== drawn) {
      this.#select.dataset.drawn = drawn;
      fill(this.#select, el("option", { value: "" }, t("log.all")), ...names.map(([value, text]) => el("option", { value }, text)));
      this.#select.value = this.#kind;
    }
    this.#more.hidden = this.#state !== "loaded" || !this.#cursor;
    this.element.dataset.state = this.#state;
    if (this.#state === "loading") return fill(this.#list, ...skeleton());
    if (this.#state === "failed") {
      const again = el("button", { type: "button", class: "wa-button", onclick: () => this.#choose() }, t("action.retry"));
      return fill(this.#list, el("div", { class: "wa-empty" }, icon("alert"), el("h3", {}, t("log.failed")), el("p", { dir: "auto" }, this.#failure), again));
    }
    if (!this.#rows.length) return fill(this.#list, el("div", { class: "wa-empty" }, icon("clock"), el("h3", {}, t("log.empty"))));
    fill(this.#list, ...this.#days());
  }

  #days() {
    const { zone, rest } = this.#backend;
    /** @type {HTMLElement[]} */
    const days = [];
    let day = NaN;
    let list = el("ol", { class: "wa-log-list" });
    for (const row of this.#rows) {
      const at = Date.parse(row.created_at ?? "");
      if (dayNumber(at, zone) !== day) {
        day = dayNumber(at, zone);
        list = el("ol", { class: "wa-log-list" });
        days.push(el("section", {}, el("h3", {}, dayName(at, rest.now(), zone)), list));
      }
      list.append(this.#row(row, at));
    }
    return days;
  }

  /** @param {LogRow} row @param {number} at */
  #row(row, at) {
    const zone = this.#backend.zone;
    const reason = reasonOf(row);
    return el(
      "li",
      { data: { testid: "log-row", event: row.event_type } },
      el("span", { class: row.event_type === "error" ? "wa-log-mark wa-tone-bad" : "wa-log-mark" }, icon(ICONS[row.event_type] ?? "dot")),
      el(
        "div",
        {},
        el("p", {}, eventName(row.event_type), row.actor && el("span", { class: "wa-hint" }, ` · ${row.actor}`)),
        reason && el("p", { class: "wa-hint", dir: "auto" }, reason),
      ),
      el("time", { datetime: row.created_at, title: exactTime(at, zone) }, clockTime(at, zone)),
    );
  }

  /** @param {"csv" | "json"} kind */
  async #save(kind) {
    try {
      const file = await this.#backend.rest.file(this.#path, { event_type: this.#kind, limit: FILE_ROWS, format: kind });
      const url = URL.createObjectURL(file);
      el("a", { href: url, download: `log-${this.#session.id}.${kind}` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (error) {
      showFailure(error, { retry: () => void this.#save(kind) });
    }
  }
}

/** Lines that stand for what is on its way. */
export function skeleton(lines = 3) {
  return Array.from({ length: lines }, () => el("div", { class: "wa-bone", "aria-hidden": "true" }));
}
