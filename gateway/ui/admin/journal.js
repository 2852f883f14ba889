/** Webhooks that could not be processed: read when there are some, and processed again by a button. */

import { el, fill, uniqueId } from "../common/dom.js";
import { LiveElement } from "../common/element.js";
import { exactTime } from "../common/format.js";
import { t } from "../common/strings.js";
import { showFailure, showToast } from "../common/toast.js";

/** @import { Backend } from "../common/backend.js" */

/** @typedef {{id: number, session_id: number | null, event: string | null, reason: string | null, received_at: string}} Entry */

const SHOWN = 20;

export class JournalSection extends LiveElement {
  #backend;
  #count = 0;
  /** @type {Entry[]} */
  #entries = [];
  #list = el("ul", { class: "wa-people-list" });
  #all = el("button", { type: "button", class: "wa-button", data: { testid: "journal-retry-all" }, onclick: () => void this.#retryAll() }, t("admin.journal.retry_all"));

  /** @param {Backend} given */
  constructor(given) {
    super();
    this.#backend = given;
  }

  begin() {
    const id = uniqueId("admin-journal");
    this.className = "wa-admin-part";
    this.dataset.testid = "admin-journal";
    this.setAttribute("role", "region");
    this.setAttribute("aria-labelledby", id);
    this.hidden = true;
    fill(this, el("div", { class: "wa-admin-head" }, el("h2", { id }, t("admin.journal")), this.#all), this.#list);
  }

  /** How many there are now. @param {number} count */
  failed(count) {
    if (count === this.#count) return;
    this.#count = count;
    void this.#load();
  }

  async #load() {
    try {
      if (this.#count) this.#entries = (await this.#backend.rest.get("/api/journal", { outcome: "failed", limit: SHOWN }, this.signal)).data;
      else this.#entries = [];
    } catch {
      if (!this.isConnected) return;
      this.#count = -1; // asked for again with the next look
    }
    this.redraw();
  }

  draw() {
    this.hidden = !this.#entries.length;
    const { zone } = this.#backend;
    fill(
      this.#list,
      ...this.#entries.map((entry) =>
        el(
          "li",
          { class: "wa-admin-row", data: { testid: "journal-entry", entry: entry.id } },
          el(
            "div",
            { class: "wa-admin-head" },
            el("strong", { dir: "auto" }, entry.event ?? "?"),
            el("span", { class: "wa-hint" }, exactTime(Date.parse(entry.received_at), zone)),
            el("button", { type: "button", class: "wa-button", "aria-label": `${t("admin.journal.retry")} ${entry.id}`, onclick: () => void this.#retry(entry) }, t("admin.journal.retry")),
          ),
          entry.reason && el("p", { class: "wa-hint", dir: "auto" }, entry.reason),
        ),
      ),
    );
  }

  /** @param {Entry} entry */
  async #retry(entry) {
    try {
      const { data } = await this.#backend.rest.post(`/api/journal/${entry.id}/retry`);
      showToast(t("admin.journal.done", { outcome: data.outcome }), { tone: data.outcome === "failed" ? "calm" : "good" });
    } catch (error) {
      return showFailure(error);
    }
    await this.#load();
    this.tell("admin-changed");
  }

  async #retryAll() {
    this.#all.disabled = true;
    try {
      const { data } = await this.#backend.rest.post("/api/journal/retry?outcome=failed");
      showToast(t("admin.journal.all_done", { n: data.processed }), { tone: "good" });
    } catch (error) {
      showFailure(error);
    } finally {
      this.#all.disabled = false;
    }
    await this.#load();
    this.tell("admin-changed");
  }
}

customElements.define("wa-admin-journal", JournalSection);
