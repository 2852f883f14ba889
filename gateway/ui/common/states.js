/** What the words of the wire look like on the screen: session statuses, delivery states, kinds of message. */

import { hasText, t } from "./strings.js";
import { ago, duration, fileName, isVisible } from "./format.js";

/** @import { Message, Session } from "./types.js" */

/**
 * @typedef {"good" | "busy" | "warn" | "bad" | "calm"} Tone
 * @typedef {{text: string, tone: Tone, icon: import("./icons.js").IconName}} Badge
 * @typedef {"connect" | "show_qr" | "open" | "none"} PrimaryAction
 */

/** @type {Record<string, {tone: Tone, icon: import("./icons.js").IconName}>} */
const LOOKS = {
  disconnected: { tone: "calm", icon: "pause" },
  connecting: { tone: "busy", icon: "spinner" },
  need_scan: { tone: "warn", icon: "qr" },
  need_passkey: { tone: "warn", icon: "phone" },
  connected: { tone: "good", icon: "check" },
  logged_out: { tone: "bad", icon: "unlink" },
  expired: { tone: "bad", icon: "clock" },
  gone: { tone: "bad", icon: "unlink" },
};

/** A word nobody has told us about: `two_step_check` → `Two step check`. @param {string} word */
export function prettify(word) {
  const text = word.replace(/[_-]+/g, " ").trim();
  return text ? text[0].toUpperCase() + text.slice(1) : "?";
}

/**
 * The badge of a session. Colour is never the only sign: every badge has an icon and words.
 *
 * @param {Session} session
 * @param {number} now  server time in ms
 * @returns {Badge}
 */
export function sessionBadge(session, now) {
  const { status } = session;
  if (session.stale && status === "connected") {
    const when = ago(session.checked_at, now);
    return {
      text: when ? t("status.stale", { ago: when }) : t("status.never_checked"),
      tone: "warn",
      icon: "question",
    };
  }
  if (status === "disconnected" && !session.last_connected_at)
    return { text: t("status.new"), tone: "calm", icon: "unlink" };
  const look = LOOKS[status] ?? { tone: "calm", icon: "question" };
  const key = `status.${status}`;
  return { text: hasText(key) ? t(key) : prettify(status), ...look };
}

/** Whether a number works, is on its way, or needs a person. @param {Session} session @returns {"good" | "busy" | "bad" | "new"} */
export function sessionHealth(session) {
  if (session.status === "connected") return session.stale ? "busy" : "good";
  if (session.status === "connecting") return "busy";
  // One that was never linked waits for its first code; that is no trouble.
  return session.last_connected_at ? "bad" : "new";
}

/** Whether what customers write to a number does not arrive here. @param {Session} session */
export function isUnheard(session) {
  return Boolean(session.webhook_state) && session.webhook_state !== "ok" && session.status !== "gone";
}

/** The one thing to do with a session in this state. @param {Session} session @returns {{action: PrimaryAction, text: string}} */
export function primaryAction(session) {
  switch (session.status) {
    case "connected":
      return { action: "open", text: t("sessions.open_inbox") };
    case "need_scan":
    case "connecting":
    case "need_passkey":
      return { action: "show_qr", text: t("sessions.show_qr") };
    case "logged_out":
    case "expired":
      return { action: "connect", text: t("sessions.link_again") };
    case "gone":
      return { action: "none", text: "" };
    default: {
      const linkedBefore = session.status === "disconnected" && session.last_connected_at;
      return { action: "connect", text: linkedBefore ? t("sessions.reconnect") : t("sessions.link") };
    }
  }
}

const DELIVERY = [
  "queued",
  "sending",
  "accepted",
  "sent",
  "delivered",
  "read",
  "played",
  "failed",
  "unknown",
  "cancelled",
];

/** @typedef {"queued" | "sending" | "accepted" | "sent" | "delivered" | "read" | "played" | "failed" | "unknown" | "cancelled"} Delivery */

/** @param {Message} message @returns {Delivery} */
export function deliveryState(message) {
  const status = message.status ?? "unknown";
  return /** @type {Delivery} */ (DELIVERY.includes(status) ? status : "unknown");
}

const KINDS = [
  "text",
  "image",
  "video",
  "audio",
  "document",
  "sticker",
  "location",
  "contact",
  "poll",
  "reaction",
  "order",
  "product",
  "payment",
  "event",
  "call",
];

/** @param {Message} message @returns {string} a kind we can show; anything new is `unknown` */
export function messageKind(message) {
  const kind = message.message_type ?? "text";
  return KINDS.includes(kind) ? kind : "unknown";
}

/** Whether a call was one with pictures, as far as the row tells. @param {Message} message */
export function isVideoCall(message) {
  return message.media?.kind === "video" || /video/i.test(message.message_text ?? "");
}

/** The words for a kind of message. @param {Message} message */
export function kindName(message) {
  const kind = messageKind(message);
  if (kind === "call" && isVideoCall(message)) return t("type.call.video");
  return t(/** @type {import("./strings.js").TextKey} */ (`type.${kind}`));
}

/** What the gateway says of files that have no words of their own. @type {Record<string, string[]>} */
const SAID_OF_FILES = { sticker: ["Sticker"], audio: ["Voice message", "Audio"], video: ["Video message"], document: ["Document"] };

/** Whether a message's words only name its kind. @param {Message} message */
export function isItsKind(message) {
  return (SAID_OF_FILES[messageKind(message)] ?? []).includes(message.message_text ?? "");
}

/** One line that stands for a message in the list. @param {Message} message */
export function previewOf(message) {
  if (message.deleted_at) return t("thread.deleted");
  const kind = messageKind(message);
  const begin = (message.message_text ?? "").trimStart().slice(0, 300);
  const text = isVisible(begin) && !isItsKind(message) ? begin.replace(/\s+/g, " ").trim() : "";
  if (kind === "text") return text || t("type.text");
  if (kind === "unknown") return text || t("type.unknown");
  const label = kindName(message);
  if (kind === "call") return label;
  if (kind === "audio" && message.media?.seconds) return `${label} ${duration(message.media.seconds)}`;
  if (kind === "document" && !text && message.media?.name) return fileName(message.media.name) || label;
  return text ? `${label}: ${text}` : label;
}
