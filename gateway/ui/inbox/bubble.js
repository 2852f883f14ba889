/** One message as an element. Every kind has a rendering; a kind nobody knows yet says so and blanks nothing. */

import { el, fill } from "../common/dom.js";
import { clockTime, dayName, exactTime, formatPhone, isVisible, nameLine } from "../common/format.js";
import { icon } from "../common/icons.js";
import { deliveryState, isItsKind, messageKind, previewOf } from "../common/states.js";
import { t } from "../common/strings.js";
import { attachment } from "./attachment.js";
import { messageTime, refOf } from "./order.js";
import { beginningOf, isEmojiOnly, parseText, richText } from "./rich-text.js";

export { openableUrl } from "./attachment.js";

/** @import { BubbleActions } from "./attachment.js" */
/** @import { Message } from "../common/types.js" */

/**
 * @typedef {object} Look  what a bubble depends on besides its message
 * @property {string} zone
 * @property {string} who  the other side's name
 * @property {boolean} isGroup
 * @property {boolean} canWrite
 * @property {() => number} now  the server's time in ms
 * @property {(ref: string) => Message | undefined} find  a message that is loaded
 */

/** @type {Record<import("../common/states.js").Delivery, import("../common/icons.js").IconName>} */
const TICKS = {
  queued: "clock",
  sending: "clock",
  accepted: "clock",
  sent: "check",
  delivered: "double",
  read: "double",
  played: "double",
  failed: "alert",
  unknown: "question",
  cancelled: "block",
};

const LONG = 700;
const MANY_LINES = 40;
/** Longer names may have been cut by the gateway. */
const CUT_NAME = 200;
const SCHEDULED_AFTER_MS = 60_000;

/** @param {Message} message */
export function senderName(message) {
  const digits = (message.from_phone ?? "").split("@")[0];
  return nameLine(message.push_name) || formatPhone(digits) || digits;
}

/**
 * The bubble of a message; `old` is given back and brought up to date where only its ticks have changed.
 *
 * @param {Message} message @param {Look} look @param {{grouped: boolean, isFirst: boolean}} place @param {BubbleActions} actions
 */
export function messageBubble(message, look, { grouped, isFirst }, actions) {
  const outgoing = message.direction === "out";
  const { part, usesText } = message.deleted_at ? { part: null, usesText: true } : attachment(message, actions);
  const text = !usesText && !isItsName(message) && isVisible(message.message_text) ? (message.message_text ?? "") : "";
  const big = !part && !message.reply_to && isEmojiOnly(text);
  const bubble = el(
    "div",
    { class: `wa-bubble${big ? " wa-big" : ""}${part && !text ? " wa-only-media" : ""}` },
    !outgoing && look.isGroup && !grouped && el("bdi", { class: "wa-sender" }, senderName(message)),
    message.reply_to && !message.deleted_at && quote(message.reply_to, look, actions),
    part,
    message.deleted_at && el("span", { class: "wa-deleted" }, icon("block"), t("thread.deleted")),
    text && words(text),
    !text && !part && !message.deleted_at && el("span", { class: "wa-deleted" }, t("type.text")),
    el("span", { class: "wa-meta" }),
  );
  const who = outgoing ? t("thread.you") : look.isGroup ? senderName(message) : look.who;
  const element = el(
    "div",
    {
      class: `wa-message wa-${message.direction}${grouped ? " wa-grouped" : ""}${isFirst ? " wa-arrived" : ""}`,
      data: {
        testid: "message",
        direction: message.direction,
        id: message.id || null,
        ref: message.id ? refOf(message) : null,
        kind: messageKind(message),
      },
    },
    el("span", { class: "wa-unseen" }, `${who}: `),
    el("div", { class: "wa-message-line" }, bubble, !message.deleted_at && moreButton(message, actions)),
    reactions(message),
    el("div", { class: "wa-foot" }),
  );
  refreshBubble(element, message, look, actions);
  return element;
}

/** Whether two states of a message look alike but for time, ticks and what stands below. @param {Message} a @param {Message} b */
export function isSameContent(a, b) {
  return (
    a.id === b.id &&
    a.message_text === b.message_text &&
    a.message_type === b.message_type &&
    a.deleted_at === b.deleted_at &&
    a.reply_to === b.reply_to &&
    a.media_url === b.media_url &&
    a.push_name === b.push_name &&
    JSON.stringify(a.media ?? null) === JSON.stringify(b.media ?? null) &&
    JSON.stringify(a.reactions ?? null) === JSON.stringify(b.reactions ?? null)
  );
}

/**
 * Time, ticks and what can be done about a message, brought up to date in place.
 *
 * @param {HTMLElement} element @param {Message} message @param {Look} look @param {BubbleActions} actions
 */
export function refreshBubble(element, message, look, actions) {
  const outgoing = message.direction === "out";
  const status = outgoing ? deliveryState(message) : null;
  if (status) element.dataset.status = status;
  const meta = element.querySelector(".wa-meta");
  const foot = element.querySelector(".wa-foot");
  if (!meta || !foot) return;
  const time = messageTime(message);
  const wait = status === "queued" ? waiting(message, look) : "";
  const drawn = [status, message.edited_at, time, wait, message.error, message.overtaken_by, message.local].join("|");
  if (element.dataset.drawn === drawn) return;
  element.dataset.drawn = drawn;
  fill(
    meta,
    message.edited_at && !message.deleted_at && el("span", {}, t("thread.edited")),
    wait
      ? el("span", { class: "wa-waiting-words" }, wait)
      : el("time", { datetime: new Date(time).toISOString(), title: titleOf(message, look, time) }, clockTime(time, look.zone)),
    status && tick(status),
  );
  fill(foot, ...(status ? below(message, status, look, actions) : []));
}

/** @param {Message} message @param {Look} look @param {number} time */
function titleOf(message, look, time) {
  const exact = exactTime(time, look.zone);
  if (message.direction === "in") return exact;
  if (message.origin === "phone") return `${exact} · ${t("thread.from_phone")}`;
  return message.created_by ? `${exact} · ${t("thread.by", { name: message.created_by })}` : exact;
}

/** "sending in 4 s", or when it was told to go. @param {Message} message @param {Look} look */
function waiting(message, look) {
  const at = Date.parse(message.send_after ?? "");
  if (Number.isNaN(at)) return message.local ? "" : t("delivery.queued");
  const left = at - look.now();
  if (left > SCHEDULED_AFTER_MS) {
    const day = dayName(at, look.now(), look.zone);
    return t("delivery.at", { time: `${day} ${clockTime(at, look.zone)}` });
  }
  return left > 0 ? t("delivery.in", { n: Math.ceil(left / 1000) }) : t("delivery.queued");
}

/** @param {import("../common/states.js").Delivery} status */
function tick(status) {
  const words = t(`delivery.${status}`);
  return el(
    "span",
    { class: `wa-tick wa-tick-${status}`, title: words },
    icon(TICKS[status]),
    el("span", { class: "wa-unseen" }, words),
  );
}

/**
 * What stands below a message of ours that needs a person.
 *
 * @param {Message} message @param {import("../common/states.js").Delivery} status @param {Look} look @param {BubbleActions} actions
 * @returns {import("../common/dom.js").Child[]}
 */
function below(message, status, look, actions) {
  /** @param {import("../common/strings.js").TextKey} key @param {() => void} run */
  const button = (key, run) => el("button", { type: "button", class: "wa-link", onclick: run }, t(key));
  if (message.local === "waiting") return [el("p", { class: "wa-hint" }, t("delivery.local"))];
  if (status === "failed") {
    return [
      el("p", { class: "wa-failure", dir: "auto" }, message.error || t("delivery.failed")),
      look.canWrite && button("delivery.retry", () => actions.retry(message)),
      look.canWrite && message.local && button("delivery.delete", () => actions.remove(message)),
    ];
  }
  if (!look.canWrite) return [];
  if (status === "unknown" && message.id) {
    return [
      el("p", { class: "wa-failure" }, `${t("delivery.unknown")}. ${t("delivery.settle")}`),
      button("delivery.settle.yes", () => actions.settle(message, true)),
      button("delivery.settle.no", () => actions.settle(message, false)),
    ];
  }
  if (status === "queued" && message.overtaken_by) {
    return [
      el("p", { class: "wa-hint" }, t("delivery.overtaken")),
      button("delivery.overtaken.cancel", () => actions.cancel(message)),
    ];
  }
  return [];
}

/** @param {Message} message @param {BubbleActions} actions */
function moreButton(message, actions) {
  const button = el(
    "button",
    {
      type: "button",
      class: "wa-more wa-ghost",
      "aria-label": t("message.actions"),
      "aria-haspopup": "menu",
      tabindex: "-1",
      onclick: () => actions.menu(message, button),
    },
    icon("down"),
  );
  return button;
}

/** @param {Message} message */
function reactions(message) {
  const given = (message.reactions ?? []).filter((one) => one?.emoji);
  if (!given.length || message.deleted_at) return null;
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { emoji } of given) counts.set(emoji, (counts.get(emoji) ?? 0) + 1);
  const names = given.map((one) => `${one.emoji} ${nameLine(one.name) || formatPhone(one.by)}`.trim()).join(", ");
  return el(
    "div",
    { class: "wa-reactions", title: names },
    el("span", { class: "wa-unseen" }, t("message.reactions", { text: names })),
    ...[...counts].map(([emoji, count]) =>
      el("span", { class: "wa-reaction", "aria-hidden": "true", data: { testid: "reaction" } }, emoji, count > 1 && el("b", {}, count)),
    ),
  );
}

/** @param {string} ref @param {Look} look @param {BubbleActions} actions */
function quote(ref, look, actions) {
  const quoted = look.find(ref);
  const name = !quoted
    ? ""
    : quoted.direction === "out"
      ? t("thread.you")
      : look.isGroup
        ? senderName(quoted)
        : look.who;
  const text = quoted ? previewOf(quoted) : t("message.quote.gone");
  return el(
    "button",
    {
      type: "button",
      class: "wa-quote",
      onclick: () => actions.jump(ref),
    },
    el("span", { class: "wa-unseen" }, t("message.quote")),
    name && el("bdi", { class: "wa-quote-name" }, name),
    el("span", { class: "wa-quote-text", dir: "auto" }, text),
  );
}

/** Whether a message's words are those that its file shows by itself: its kind, or its name. @param {Message} message */
function isItsName(message) {
  const { message_text: text, media } = message;
  if (isItsKind(message)) return true;
  if (!text || !media?.name) return false;
  return text === media.name || (media.name.length >= CUT_NAME && text.startsWith(media.name));
}

/** @param {string} text */
function words(text) {
  const shown = el("span", { class: "wa-text", dir: "auto" });
  const parts = parseText(text);
  const begin = beginningOf(parts, LONG, MANY_LINES);
  if (!begin) {
    fill(shown, ...richText(parts));
    return shown;
  }
  const showAll = () => {
    fill(shown, ...richText(parts));
    shown.tabIndex = -1;
    shown.focus({ preventScroll: true }); // the button that had it is gone
  };
  const more = el("button", { type: "button", class: "wa-link wa-read-more", onclick: showAll }, t("thread.read_more"));
  fill(shown, ...richText(begin), "… ", more);
  return shown;
}
