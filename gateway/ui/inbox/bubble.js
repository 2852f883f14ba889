/** One message as an element. Every kind has a rendering; a kind nobody knows yet says so and blanks nothing. */

import { el } from "../shared/dom.js";
import { clockTime, exactTime } from "../shared/format.js";
import { icon } from "../shared/icons.js";
import { messageTime } from "./order.js";
import { richText } from "./rich-text.js";
import { deliveryState, messageKind } from "../shared/states.js";
import { t } from "../shared/strings.js";

/** @import { Message } from "../shared/types.js" */

/** @type {Record<string, import("../shared/icons.js").IconName>} */
const TICKS = {
  queued: "clock",
  sent: "check",
  delivered: "double",
  read: "double",
  failed: "alert",
  unknown: "question",
};

/**
 * A link to the media that a browser can open. WhatsApp's own addresses lead to encrypted files.
 *
 * @param {string | null | undefined} url
 */
export function openableUrl(url) {
  if (!url || !/^https?:\/\//i.test(url) || !URL.canParse(url)) return null;
  const { hostname, pathname } = new URL(url);
  return hostname.endsWith("whatsapp.net") || pathname.endsWith(".enc") ? null : url;
}

/** @param {Message} message */
function media(message) {
  const kind = messageKind(message);
  if (kind === "text") return null;
  const name = /** @type {import("../shared/icons.js").IconName} */ (kind);
  const url = openableUrl(message.media_url);
  return el(
    "span",
    { class: "wa-media" },
    icon(name),
    el("span", {}, t(/** @type {import("../shared/strings.js").TextKey} */ (`type.${kind}`))),
    url && el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, t("type.open")),
  );
}

/** @param {Message} message @returns {import("../shared/dom.js").Child[]} */
function content(message) {
  if (message.deleted_at) return [el("span", { class: "wa-deleted" }, t("thread.deleted"))];
  const text = message.message_text ?? "";
  const shown = text ? el("span", { class: "wa-text", dir: "auto" }, ...richText(text)) : null;
  const attached = media(message);
  if (!shown && !attached) return [el("span", { class: "wa-deleted" }, t("type.text"))];
  return [attached, shown];
}

/**
 * @param {Message} message
 * @param {{zone: string, who: string, grouped: boolean}} look  who wrote it, for screen readers; grouped: same writer as above
 */
export function messageBubble(message, { zone, who, grouped }) {
  const time = messageTime(message);
  const outgoing = message.direction === "out";
  const status = outgoing ? deliveryState(message) : null;
  return el(
    "div",
    {
      class: `wa-message wa-${message.direction}${grouped ? " wa-grouped" : ""}`,
      data: {
        testid: "message",
        direction: message.direction,
        status,
        id: message.id || null,
        kind: messageKind(message),
      },
    },
    el("span", { class: "wa-unseen" }, `${outgoing ? t("thread.you") : who}: `),
    el(
      "div",
      { class: "wa-bubble" },
      ...content(message),
      el(
        "span",
        { class: "wa-meta" },
        message.edited_at && !message.deleted_at && el("span", {}, t("thread.edited")),
        el(
          "time",
          { datetime: new Date(time).toISOString(), title: exactTime(time, zone) },
          clockTime(time, zone),
        ),
        status && tick(status),
      ),
    ),
    status === "failed" &&
      el("p", { class: "wa-failure", dir: "auto" }, message.error || t("delivery.failed")),
  );
}

/** @param {"queued" | "sent" | "delivered" | "read" | "failed" | "unknown"} status */
function tick(status) {
  const words = t(`delivery.${status}`);
  return el(
    "span",
    { class: `wa-tick wa-tick-${status}`, title: words },
    icon(TICKS[status]),
    el("span", { class: "wa-unseen" }, words),
  );
}
