/** One line above the composer: what waits to be sent, and why. */

import { el, fill } from "../common/dom.js";
import { clockTime } from "../common/format.js";
import { t } from "../common/strings.js";

/** @import { SendingState } from "../common/types.js" */

export class QueueLine {
  element = el("div", { class: "wa-queue-line", role: "status", hidden: true, data: { testid: "queue-line" } });
  #cancel;

  /** @param {() => void} cancel  takes back the newest that waits */
  constructor(cancel) {
    this.#cancel = cancel;
  }

  /**
   * @param {number} waiting  of this conversation
   * @param {SendingState | null} sending  of the number
   * @param {{isSlow: boolean, zone: string}} facts  isSlow: the number is protected, one message in 5 s
   */
  show(waiting, sending, { isSlow, zone }) {
    const text = line(waiting, sending, isSlow, zone);
    this.element.hidden = !text;
    const drawn = `${waiting > 0}|${text}`;
    if (this.element.dataset.drawn === drawn) return;
    this.element.dataset.drawn = drawn;
    fill(
      this.element,
      el("span", {}, text),
      waiting > 0 && el("button", { type: "button", class: "wa-link", onclick: this.#cancel }, t("queue.cancel")),
    );
  }
}

/** @param {number} n @param {SendingState | null} sending @param {boolean} isSlow @param {string} zone */
function line(n, sending, isSlow, zone) {
  const reason = sending?.reason ?? null;
  if (reason === "restricted") return t("queue.restricted");
  if (n === 0) return "";
  if (reason === "not_connected") return t("queue.not_connected", { n });
  if (reason === "rate_limit" && sending?.paused_until)
    return t("queue.rate_limit", { n, time: clockTime(Date.parse(sending.paused_until), zone) });
  if (reason) return t("queue.stopped", { n });
  return isSlow ? t("queue.pace", { n }) : t("queue.waiting", { n });
}
