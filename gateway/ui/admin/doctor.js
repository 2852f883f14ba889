/** What `gateway doctor` finds, with what mends it. */

import { el, fill, uniqueId } from "../common/dom.js";
import { LiveElement } from "../common/element.js";
import { icon } from "../common/icons.js";
import { t } from "../common/strings.js";
import { showFailure } from "../common/toast.js";
import { repairButton } from "../sessions/webhook-notice.js";

/** @import { Backend } from "../common/backend.js" */

/** @typedef {{subject: string, is_fine: boolean, says: string, repairs: number | null, command: string | null}} Finding */

export class DoctorSection extends LiveElement {
  #backend;
  /** @type {Finding[] | null} */
  #findings = null;
  #running = false;
  #run = el("button", { type: "button", class: "wa-button", data: { testid: "run-doctor" }, onclick: () => void this.#look() }, t("admin.doctor.run"));
  #said = el("p", { class: "wa-hint", role: "status" });
  #list = el("ul", { class: "wa-people-list" });

  /** @param {Backend} given */
  constructor(given) {
    super();
    this.#backend = given;
  }

  begin() {
    const id = uniqueId("admin-doctor");
    this.className = "wa-admin-part";
    this.dataset.testid = "admin-doctor";
    this.setAttribute("role", "region");
    this.setAttribute("aria-labelledby", id);
    fill(
      this,
      el("div", { class: "wa-admin-head" }, el("h2", { id }, t("admin.doctor")), this.#run),
      el("p", { class: "wa-hint" }, t("admin.doctor.lead")),
      this.#said,
      this.#list,
    );
  }

  draw() {
    const findings = this.#findings ?? [];
    const wrong = findings.filter((one) => !one.is_fine);
    this.#run.disabled = this.#running;
    this.dataset.state = this.#running ? "running" : this.#findings ? "found" : "idle";
    if (this.#running) fill(this.#said, icon("spinner"), t("admin.doctor.running"));
    else if (!this.#findings) fill(this.#said);
    else fill(this.#said, wrong.length ? t("admin.doctor.wrong", { n: wrong.length }) : t("admin.doctor.fine", { n: findings.length }));
    fill(this.#list, ...[...wrong, ...findings.filter((one) => one.is_fine)].map((one) => this.#row(one)));
  }

  /** @param {Finding} finding */
  #row({ subject, is_fine, says, repairs, command }) {
    const repair = async () => {
      await this.#backend.rest.post(`/api/whatsapp-sessions/${repairs}/repair-webhook`);
      this.tell("admin-changed");
    };
    return el(
      "li",
      { class: "wa-admin-row", data: { testid: "finding", fine: String(is_fine) } },
      el(
        "div",
        { class: "wa-admin-head" },
        el("strong", { dir: "auto" }, subject),
        el(
          "span",
          { class: `wa-badge wa-tone-${is_fine ? "good" : "bad"}` },
          icon(is_fine ? "check" : "alert"),
          el("span", {}, t(is_fine ? "admin.doctor.ok" : "admin.doctor.bad")),
        ),
        repairs !== null && repairButton(repair),
      ),
      el("p", { dir: "auto", lang: "en" }, says),
      command && el("p", { class: "wa-hint" }, t("admin.doctor.command"), " ", el("code", { dir: "ltr" }, command)),
    );
  }

  async #look() {
    this.#running = true;
    this.redraw();
    try {
      this.#findings = (await this.#backend.rest.post("/api/admin/doctor")).data;
    } catch (error) {
      showFailure(error);
    } finally {
      this.#running = false;
      this.redraw();
    }
  }
}

customElements.define("wa-admin-doctor", DoctorSection);
