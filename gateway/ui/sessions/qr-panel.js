/** What a linking attempt looks like: the code with its remaining life, the steps beside it, and how it ended. */

import { el, fill } from "../common/dom.js";
import { formatPhone } from "../common/format.js";
import { icon } from "../common/icons.js";
import { SLOW_FINISHING_MS, SLOW_PREPARING_MS, secondsLeft } from "./linking.js";
import { t } from "../common/strings.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { LinkView } from "./linking.js" */
/** @import { Session } from "../common/types.js" */

export class QrPanel {
  #backend;
  #session;
  #again;
  #back;
  #frame = el("div", { class: "wa-qr-frame" });
  #caption = el("p", { class: "wa-qr-caption" });
  #countdown = el("p", { class: "wa-qr-countdown", data: { testid: "qr-countdown" } });
  #bar = el("span", { class: "wa-qr-bar", "aria-hidden": "true" }, el("span", {}));
  #attempt = el("p", { class: "wa-hint" });
  #extra = el("div", { class: "wa-qr-extra" });
  #live = el("div", { class: "wa-qr" });
  #outcome = el("div", { class: "wa-outcome" });
  /** What is in the frame now, so that a tick redraws nothing. */
  #drawn = "";

  /** @param {Backend} backend @param {Session} session @param {{again: () => void, back: () => void}} actions */
  constructor(backend, session, { again, back }) {
    this.#backend = backend;
    this.#session = session;
    this.#again = again;
    this.#back = back;
    const steps = /** @type {const} */ (["link.step1", "link.step2", "link.step3", "link.step4"]);
    fill(
      this.#live,
      el("div", { class: "wa-qr-side" }, this.#frame, this.#caption, this.#bar, this.#countdown, this.#extra),
      el(
        "div",
        { class: "wa-qr-steps" },
        el("ol", {}, ...steps.map((step) => el("li", {}, t(step)))),
        el("p", { class: "wa-hint" }, t("link.old_code")),
        el("p", { class: "wa-hint wa-narrow-only" }, t("link.one_screen")),
        this.#attempt,
      ),
    );
    this.element = el("div", { class: "wa-link-panel" }, this.#live, this.#outcome);
  }

  /** @param {LinkView} view */
  show(view) {
    const over = view.phase === "success" || view.phase === "expired" || view.phase === "error";
    this.#live.hidden = over;
    this.#outcome.hidden = !over;
    const online = this.#backend.client.status === "online" || this.#backend.client.status === "stale";
    const key = JSON.stringify([view.phase, view.code?.seq, view.note, view.error, over || online]);
    if (key !== this.#drawn) {
      this.#drawn = key;
      if (over) this.#showOutcome(view);
      else this.#showFrame(view, online);
    }
    if (!over) this.#showTime(view);
  }

  /** Takes the picture off the page. */
  clear() {
    fill(this.#frame);
    fill(this.#outcome);
    this.#drawn = "";
  }

  /** @param {LinkView} view @param {boolean} online */
  #showFrame(view, online) {
    fill(this.#outcome);
    const code = view.code;
    this.#frame.className = `wa-qr-frame wa-qr-${view.phase}`;
    if (code?.qr_code?.startsWith("data:image/")) {
      const cover = view.phase === "refreshing" ? t("link.refreshing") : online ? "" : t("link.reconnecting");
      const picture = el("img", {
        src: code.qr_code,
        alt: t("link.alt"),
        width: 288,
        height: 288,
        draggable: "false",
        data: { testid: "qr-image", seq: code.seq },
      });
      fill(this.#frame, picture, cover && el("div", { class: "wa-qr-cover" }, icon("spinner"), cover));
    } else {
      fill(this.#frame, icon(view.phase === "finishing" ? "phone" : "spinner"));
    }
    const captions = {
      preparing: "link.preparing",
      qr: "link.qr",
      refreshing: "link.refreshing",
      finishing: "link.finishing",
    };
    const caption = view.note === "passkey" ? "link.passkey" : captions[/** @type {"qr"} */ (view.phase)];
    this.#caption.textContent = t(/** @type {import("../common/strings.js").TextKey} */ (caption));
    const counts = code?.attempt && code.max_attempts;
    this.#attempt.textContent = counts
      ? t("link.attempt", { n: Number(code?.attempt), max: Number(code?.max_attempts) })
      : "";
    fill(this.#extra);
  }

  /** @param {LinkView} view */
  #showTime(view) {
    const now = this.#backend.rest.now();
    const left = secondsLeft(view, now);
    const counting = view.phase === "qr";
    this.#countdown.hidden = this.#bar.hidden = !counting;
    if (counting && view.code) {
      this.#countdown.textContent = t("link.left", { n: left });
      const begin = view.code.issued_at ? Date.parse(view.code.issued_at) : view.since;
      const life = Math.max(1, Date.parse(view.code.expires_at) - begin);
      const share = Math.min(1, (left * 1000) / life);
      /** @type {HTMLElement} */ (this.#bar.firstElementChild).style.inlineSize =
        `${(share * 100).toFixed(1)}%`;
    }
    const waited = now - view.since;
    if (view.phase === "preparing" && waited > SLOW_PREPARING_MS)
      this.#offer("link.slow", "common.cancel", this.#back);
    if (view.phase === "finishing" && waited > SLOW_FINISHING_MS)
      this.#offer("link.finishing.slow", "link.again", this.#again);
  }

  /** @param {import("../common/strings.js").TextKey} text @param {import("../common/strings.js").TextKey} label @param {() => void} run */
  #offer(text, label, run) {
    if (this.#extra.childElementCount) return;
    fill(
      this.#extra,
      el("p", { class: "wa-hint" }, t(text)),
      el("button", { type: "button", class: "wa-button", onclick: run }, t(label)),
    );
  }

  /** @param {LinkView} view */
  #showOutcome(view) {
    fill(this.#frame);
    if (view.phase === "success") {
      const phone = formatPhone(
        this.#backend.sessions.get(this.#session.id)?.phone_number ?? this.#session.phone_number,
      );
      const text = phone ? t("link.success.number", { phone }) : t("link.success");
      return fill(
        this.#outcome,
        el("span", { class: "wa-outcome-mark wa-tone-good" }, icon("check")),
        el("h3", {}, text),
      );
    }
    const failed = view.phase === "error";
    const stopped = view.note === "cancelled";
    const title = failed ? t("link.error") : stopped ? t("link.cancelled") : t("link.expired");
    const hint = failed
      ? view.error || t("link.error.unknown")
      : stopped
        ? t("link.cancelled.hint")
        : t("link.expired.hint");
    fill(
      this.#outcome,
      el(
        "span",
        { class: `wa-outcome-mark wa-tone-${failed ? "bad" : "warn"}` },
        icon(failed ? "alert" : "clock"),
      ),
      el("h3", {}, title),
      el("p", { class: "wa-outcome-text", dir: "auto" }, hint),
      el(
        "button",
        {
          type: "button",
          class: "wa-button wa-strong",
          data: failed ? {} : { testid: "show-new-code" },
          onclick: this.#again,
        },
        failed ? t("action.retry") : t("link.again"),
      ),
    );
  }
}
