/** `/admin`: how the gateways and the numbers are, what failed, and what mends it. For administrators of all numbers. */

import { backend } from "../common/backend.js";
import { el, fill, uniqueId } from "../common/dom.js";
import { LiveElement } from "../common/element.js";
import { icon } from "../common/icons.js";
import { RestError } from "../common/rest.js";
import { t } from "../common/strings.js";
import { alertRow, factList, gatewayRow, numberRow, workFacts } from "./admin-rows.js";
import { DoctorSection } from "./doctor.js";
import { JournalSection } from "./journal.js";
import { TargetsSection } from "./targets.js";

/** @import { Overview } from "./admin-rows.js" */

const LOOK_EVERY_MS = 15_000;

export class AdminPage extends LiveElement {
  #backend = backend();
  /** @type {Overview | null} */
  #overview = null;
  /** @type {"loading" | "loaded" | "failed" | "forbidden"} */
  #state = "loading";
  #failure = "";
  #drawn = "";
  #parts = el("div", { class: "wa-admin-parts" });
  #instead = el("div", { class: "wa-empty" });
  #alerts = el("ul", { class: "wa-people-list" });
  #gateways = el("ul", { class: "wa-people-list" });
  #numbers = el("ul", { class: "wa-people-list" });
  #work = el("div", {});
  #media = el("div", {});
  #journal = new JournalSection(this.#backend);
  #doctor = new DoctorSection(this.#backend);

  begin() {
    this.className = "wa-page";
    this.dataset.testid = "admin";
    const title = uniqueId("admin");
    this.setAttribute("role", "region");
    this.setAttribute("aria-labelledby", title);
    fill(
      this.#parts,
      section(t("admin.alerts"), this.#alerts),
      section(t("admin.gateways"), this.#gateways),
      section(t("admin.numbers"), this.#numbers),
      section(t("admin.work"), this.#work, this.#media),
      this.#journal,
      new TargetsSection("h2"),
      this.#doctor,
    );
    fill(
      this,
      el("header", { class: "wa-page-head" }, el("h1", { id: title }, t("app.admin"))),
      el("p", { class: "wa-hint" }, t("admin.lead")),
      this.#parts,
      this.#instead,
    );
    this.every(LOOK_EVERY_MS, () => document.hidden || void this.#load());
    this.on(this, "admin-changed", () => void this.#load());
    void this.#load();
  }

  async #load() {
    try {
      await this.#backend.open();
      this.#overview = (await this.#backend.rest.get("/api/admin/overview", {}, this.signal)).data;
      this.#state = "loaded";
    } catch (error) {
      if (!this.isConnected) return;
      if (!(error instanceof RestError)) throw error;
      // What was seen last is worth more than an error in its place.
      if (this.#state === "loaded" && error.status !== 403) return;
      this.#state = error.status === 403 ? "forbidden" : "failed";
      this.#failure = error.message;
    }
    this.redraw();
  }

  draw() {
    const overview = this.#overview;
    this.dataset.state = this.#state;
    const shown = this.#state === "loaded" && overview !== null;
    this.#parts.hidden = !shown;
    this.#instead.hidden = shown;
    if (!shown) return this.#showInstead();
    const drawn = JSON.stringify(overview);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const now = this.#backend.rest.now();
    const { zone } = this.#backend;
    const none = (/** @type {string} */ text) => el("li", { class: "wa-hint wa-fine" }, icon("check"), text);
    fill(this.#alerts, ...(overview.alerts.length ? overview.alerts.map((one) => alertRow(one, overview, zone, this.#repair)) : [none(t("admin.alerts.none"))]));
    fill(this.#gateways, ...overview.gateways.map((one) => gatewayRow(one, zone)));
    fill(this.#numbers, ...(overview.sessions.length ? overview.sessions.map((one) => numberRow(one, now, this.#repair)) : [none(t("admin.numbers.none"))]));
    fill(this.#work, factList(workFacts(overview)));
    const { reasons = [] } = overview.media;
    fill(
      this.#media,
      reasons.length > 0 && el("h3", {}, t("admin.media")),
      reasons.length > 0 && factList(reasons.map((one) => /** @type {[string, string]} */ ([one.reason, String(one.files)]))),
    );
    this.#journal.failed(overview.counts.journal_failed ?? 0);
  }

  /** @param {number} id */
  #repair = async (id) => {
    await this.#backend.rest.post(`/api/whatsapp-sessions/${id}/repair-webhook`);
    await this.#load();
  };

  #showInstead() {
    const again = el("button", { type: "button", class: "wa-button", onclick: () => ((this.#state = "loading"), this.redraw(), void this.#load()) }, t("action.retry"));
    if (this.#state === "loading") fill(this.#instead, icon("spinner"), el("p", {}, t("admin.loading")));
    else if (this.#state === "forbidden") fill(this.#instead, icon("block"), el("h2", {}, t("admin.forbidden")), el("p", {}, t("admin.forbidden.hint")));
    else fill(this.#instead, icon("alert"), el("h2", {}, t("admin.failed")), el("p", { dir: "auto" }, this.#failure), again);
  }
}

/** A part of the page, with its heading. @param {string} heading @param {...Node} children */
export function section(heading, ...children) {
  const id = uniqueId("admin-part");
  return el("section", { class: "wa-admin-part", "aria-labelledby": id }, el("h2", { id }, heading), ...children);
}

customElements.define("wa-admin", AdminPage);
