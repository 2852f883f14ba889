/**
 * What a linking attempt looks like: the code in its ring of remaining life with the steps beside it, the phone that
 * was found, and how it ended. All have the same place and size, and fade into one another.
 */

import { el, fill } from "../common/dom.js";
import { formatPhone } from "../common/format.js";
import { icon } from "../common/icons.js";
import { t } from "../common/strings.js";
import { modulesOf, ROOM_PX, sideOf } from "./code-size.js";
import { troubleOf } from "./link-trouble.js";
import { isOver, SLOW_FINISHING_MS, SLOW_PREPARING_MS, secondsLeft, shareLeft } from "./linking.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { TextKey } from "../common/strings.js" */
/** @import { LinkCode, Session } from "../common/types.js" */
/** @import { LinkView } from "./linking.js" */

/** @typedef {"android" | "iphone"} Phone */

/** @type {Record<Phone, TextKey[]>} */
const STEPS = {
  android: ["link.step1", "link.step2.android", "link.step3", "link.step4"],
  iphone: ["link.step1", "link.step2.iphone", "link.step3", "link.step4"],
};

/** @type {Phone} */
let phoneInHand = /iPhone|iPad|Macintosh/.test(globalThis.navigator?.userAgent ?? "") ? "iphone" : "android";

/**
 * @typedef {object} PanelActions
 * @property {() => void} again
 * @property {() => void} back  to the list
 * @property {() => void} openInbox
 * @property {() => void} log
 */

export class QrPanel {
  #backend;
  #session;
  #actions;
  #frame = el("div", { class: "wa-qr-frame" });
  #ring = el("div", { class: "wa-qr-ring" }, this.#frame);
  #countdown = el("p", { class: "wa-qr-countdown", data: { testid: "qr-countdown" } });
  #attempt = el("p", { class: "wa-qr-attempt" });
  #caption = el("p", { class: "wa-qr-caption" });
  #extra = el("div", { class: "wa-qr-extra" });
  #phones = el("div", { class: "wa-segments", role: "group", "aria-label": t("link.phones") });
  #steps = el("ol", {});
  #guide = el("div", { class: "wa-qr-guide" }, this.#phones, this.#steps, el("p", { class: "wa-hint" }, t("link.old_code")), el("p", { class: "wa-hint wa-narrow-only" }, t("link.one_screen")));
  #live = el(
    "div",
    { class: "wa-qr wa-stage" },
    el("div", { class: "wa-qr-side" }, this.#ring, el("div", { class: "wa-qr-foot" }, this.#countdown, this.#attempt)),
    el("div", { class: "wa-qr-steps" }, this.#caption, this.#guide, this.#extra),
  );
  #outcome = el("div", { class: "wa-outcome wa-stage" });
  /** When an attempt in trouble goes on by itself. */
  #next = el("p", { class: "wa-hint wa-outcome-next" });
  /** What is in the frame now, so that a tick redraws nothing. */
  #drawn = "";

  /** @param {Backend} backend @param {Session} session @param {PanelActions} actions */
  constructor(backend, session, actions) {
    this.#backend = backend;
    this.#session = session;
    this.#actions = actions;
    this.#showSteps();
    this.element = el("div", { class: "wa-link-panel" }, this.#live, this.#outcome);
  }

  #showSteps() {
    const choose = (/** @type {Phone} */ phone) => () => {
      phoneInHand = phone;
      this.#showSteps();
      /** @type {HTMLElement | null} */ (this.#phones.querySelector("[aria-pressed=true]"))?.focus();
    };
    const button = (/** @type {Phone} */ phone, /** @type {string} */ name) =>
      el("button", { type: "button", class: "wa-segment", "aria-pressed": String(phone === phoneInHand), onclick: choose(phone) }, name);
    fill(this.#phones, button("android", "Android"), button("iphone", "iPhone"));
    fill(this.#steps, ...STEPS[phoneInHand].map((step) => el("li", {}, t(step))));
  }

  /** @param {LinkView} view */
  show(view) {
    const over = isOver(view) || view.phase === "error";
    // What fades out can neither be pressed nor read out.
    this.#live.inert = over;
    this.#outcome.inert = !over;
    const online = this.#backend.client.status === "online" || this.#backend.client.status === "stale";
    const key = JSON.stringify([view.phase, view.code?.seq, view.note, view.error, view.cause, !over && view.trouble !== null, over || online, this.#room]);
    if (key !== this.#drawn) {
      this.#drawn = key;
      if (over) this.#showOutcome(view);
      else this.#showFrame(view, online);
    }
    if (over) this.#showNext(view);
    else this.#showTime(view);
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
    const { code, phase } = view;
    const found = phase === "finishing";
    this.#frame.className = `wa-qr-frame wa-qr-${phase}`;
    if (code?.qr_code?.startsWith("data:image/")) {
      const cover = phase === "refreshing" ? t("link.refreshing") : online ? "" : t("link.reconnecting");
      fill(this.#frame, this.#picture(code, code.qr_code), cover && el("div", { class: "wa-qr-cover" }, icon("spinner"), cover));
    } else {
      fill(this.#frame, el("div", { class: "wa-qr-sign" }, icon(found ? "phone" : "spinner")));
    }
    const caption = { preparing: "link.preparing", qr: "link.qr", refreshing: "link.refreshing", finishing: "link.finishing" };
    this.#caption.textContent = t(view.note === "passkey" ? "link.passkey" : /** @type {TextKey} */ (caption[/** @type {"qr"} */ (phase)]));
    // The steps are of no use any more once the phone has done them.
    this.#guide.hidden = found;
    const counted = !found && code?.attempt && code.max_attempts;
    this.#attempt.textContent = counted ? t("link.attempt", { n: Number(code.attempt), max: Number(code.max_attempts) }) : "";
    const hint = view.trouble ? (found ? "link.finishing.trouble" : "link.qr.trouble") : found && view.note !== "passkey" && "link.finishing.hint";
    fill(this.#extra, hint && el("p", { class: "wa-hint" }, t(hint)));
    delete this.#extra.dataset.offered;
  }

  /** The side of the frame: less on a phone, another once it is turned. */
  get #room() {
    return Math.min(ROOM_PX, this.#frame.clientWidth || ROOM_PX);
  }

  /** @param {LinkCode} code @param {string} url */
  #picture(code, url) {
    const side = sideOf(modulesOf(url), this.#room, globalThis.devicePixelRatio);
    const data = { testid: "qr-image", seq: code.seq };
    const picture = el("img", { src: url, alt: t("link.alt"), width: Math.round(side), height: Math.round(side), draggable: "false", data });
    picture.style.inlineSize = picture.style.blockSize = `${side}px`;
    return picture;
  }

  /** @param {LinkView} view */
  #showTime(view) {
    const now = this.#backend.rest.now();
    const counting = view.phase === "qr";
    this.#ring.style.setProperty("--wa-left", counting ? shareLeft(view, now).toFixed(4) : "0");
    this.#ring.dataset.state = view.phase;
    const isLast = view.code?.attempt !== undefined && view.code.attempt === view.code.max_attempts;
    this.#countdown.textContent = counting ? t(isLast ? "link.left.last" : "link.left", { n: secondsLeft(view, now) }) : "";
    const waited = now - view.since;
    if (view.phase === "preparing" && waited > SLOW_PREPARING_MS) this.#offer("link.slow", "common.cancel", this.#actions.back);
    if (view.phase === "finishing" && waited > SLOW_FINISHING_MS) this.#offer("link.finishing.slow", "link.again", this.#actions.again, true);
  }

  /** @param {TextKey} text @param {TextKey} label @param {() => void} run @param {boolean} [withLog] */
  #offer(text, label, run, withLog = false) {
    if (this.#extra.dataset.offered === text) return;
    this.#extra.dataset.offered = text;
    const log = el("button", { type: "button", class: "wa-link", onclick: this.#actions.log }, t("link.log"));
    fill(this.#extra, el("p", { class: "wa-hint", role: "status" }, t(text)), el("button", { type: "button", class: "wa-button", onclick: run }, t(label)), withLog && log);
  }

  // ------------------------------------------------------------------------------------------ how it ended

  /** @param {LinkView} view */
  #showOutcome(view) {
    fill(this.#frame); // a code that can be scanned no more is not on the page
    if (view.phase === "success") this.#showSuccess();
    else if (view.phase === "error") this.#showTrouble(view);
    else this.#showEnd(view.note === "cancelled");
  }

  #showSuccess() {
    const phone = formatPhone(this.#backend.sessions.get(this.#session.id)?.phone_number ?? this.#session.phone_number);
    fill(
      this.#outcome,
      el("span", { class: "wa-outcome-mark wa-tone-good wa-outcome-done" }, icon("check")),
      el("h3", {}, phone ? t("link.success.number", { phone: ltr(phone) }) : t("link.success")),
      el("p", { class: "wa-outcome-text" }, phone ? t("link.hello", { phone: ltr(phone) }) : t("link.hello.plain")),
      el("button", { type: "button", class: "wa-button wa-strong", onclick: this.#actions.openInbox }, t("sessions.open_inbox")),
    );
  }

  /** @param {LinkView} view */
  #showTrouble(view) {
    const { title, hint, action, details } = troubleOf(view);
    this.#showNext(view);
    const { again, back } = this.#actions;
    fill(
      this.#outcome,
      el("span", { class: "wa-outcome-mark wa-tone-bad" }, icon("alert")),
      el("h3", {}, t(title)),
      el("p", { class: "wa-outcome-text" }, t(hint)),
      view.trouble && this.#next,
      action && el("button", { type: "button", class: "wa-button wa-strong", data: { testid: "link-action" }, onclick: action === "list" ? back : again }, t(action === "list" ? "link.back" : "action.retry")),
      details && el("details", { class: "wa-details wa-outcome-details", data: { testid: "link-details" } }, el("summary", {}, t("sessions.details")), el("p", { dir: "auto" }, details)),
    );
  }

  /** An attempt in trouble goes on: when, is said, too. @param {LinkView} view */
  #showNext(view) {
    if (!view.trouble) return;
    const left = Math.ceil((Date.parse(view.trouble.retry_at ?? "") - this.#backend.rest.now()) / 1000);
    const text = left > 0 ? t("link.next_try", { n: left }) : t("link.trying");
    if (this.#next.textContent !== text) this.#next.textContent = text;
  }

  /** @param {boolean} stopped */
  #showEnd(stopped) {
    fill(
      this.#outcome,
      el("span", { class: "wa-outcome-mark wa-tone-warn" }, icon("clock")),
      el("h3", {}, t(stopped ? "link.cancelled" : "link.expired")),
      el("p", { class: "wa-outcome-text" }, t(stopped ? "link.cancelled.hint" : "link.expired.hint")),
      el("button", { type: "button", class: "wa-button wa-strong", data: { testid: "show-new-code" }, onclick: this.#actions.again }, t("link.again")),
    );
  }
}

/** A number keeps its order inside a sentence of any direction. @param {string} phone */
function ltr(phone) {
  return `\u2066${phone}\u2069`;
}
