/**
 * One conversation in the list; made anew when what it shows is another.
 *
 * Names stand in `bdi`: a right-to-left name reads its own way and still begins where names begin on this page.
 */

import { isUnread, waitsSince } from "./conversations.js";
import { plainText } from "./rich-text.js";
import { isGroup } from "./order.js";
import { senderName } from "./bubble.js";
import { el } from "../common/dom.js";
import { displayName, exactTime, formatPhone, hue, initials, listTime, waited } from "../common/format.js";
import { icon } from "../common/icons.js";
import { deliveryState, messageKind, previewOf } from "../common/states.js";
import { t } from "../common/strings.js";

/** @import { Conversation, Message } from "../common/types.js" */

/** A customer who has waited for less is no matter yet. */
export const WAITS_AFTER_MS = 10 * 60_000;

/**
 * @typedef {object} RowLook
 * @property {string} when
 * @property {string} waits  how long the customer has been waiting; empty for a while
 * @property {boolean} selected
 * @property {boolean} quiet  it is open and can be seen: what comes counts as read
 * @property {number} hue  the number's colour
 * @property {string | null} sessionName
 * @property {string} draft
 * @property {string} presence
 * @property {string} zone
 * @property {string} highlight
 */

/** @param {Conversation} conversation @param {number} number  the colour of the number it belongs to */
export function avatar(conversation, number) {
  const name = displayName(conversation);
  const letters = initials(name);
  return el(
    "span",
    { class: `wa-avatar wa-hue-${letters === "#" ? "none" : hue(conversation.chat)}`, "aria-hidden": "true" },
    letters === "#" ? (isGroup(conversation.chat) ? icon("people") : "?") : el("span", { class: "wa-initials" }, letters),
    el("span", { class: `wa-number-dot wa-number-${number}` }),
  );
}

/** What a row depends on besides its conversation. @param {Conversation} conversation @param {{now: number, zone: string}} at */
export function rowTimes(conversation, { now, zone }) {
  const at = Date.parse(conversation.last_at ?? "") || 0;
  const since = waitsSince(conversation);
  const waits = since !== null && now - since >= WAITS_AFTER_MS ? waited(now - since) : "";
  return { when: at ? listTime(at, now, zone) : "", waits };
}

/** @param {Conversation} conversation @param {RowLook} look @param {(key: string) => void} open @param {string} key */
export function conversationRow(conversation, look, open, key) {
  const unread = look.quiet ? 0 : conversation.unread;
  const isBold = !look.quiet && isUnread(conversation);
  const name = displayName(conversation);
  const phone = formatPhone(conversation.phone);
  const button = el(
    "button",
    {
      type: "button",
      class: `wa-row${isBold ? " wa-has-unread" : ""}`,
      "aria-current": look.selected ? "true" : null,
      title: phone === name ? null : phone,
      data: { testid: "conversation-row", session: conversation.session_id, chat: conversation.chat, unread },
      onclick: () => open(key),
    },
    avatar(conversation, look.hue),
    el("span", { class: "wa-row-name" }, el("bdi", {}, ...marked(name, look.highlight))),
    time(conversation, look),
    el("span", { class: "wa-row-preview" }, preview(conversation, look)),
    badges(conversation, unread, isBold),
    look.sessionName !== null && el("span", { class: "wa-unseen" }, el("bdi", {}, look.sessionName)),
  );
  return el("li", { class: "wa-row-place" }, button);
}

/** @param {Conversation} conversation @param {RowLook} look */
function time(conversation, look) {
  const at = Date.parse(conversation.last_at ?? "") || 0;
  const title = at ? exactTime(at, look.zone) : null;
  const datetime = at ? new Date(at).toISOString() : null;
  if (!look.waits) return el("time", { class: "wa-row-time", datetime, title }, look.when);
  return el(
    "time",
    { class: "wa-row-time wa-row-waits", datetime, title },
    icon("clock"),
    el("span", { class: "wa-unseen" }, t("list.waiting", { time: look.waits })),
    el("span", { "aria-hidden": "true" }, look.waits),
  );
}

/** @param {Conversation} conversation @param {number} unread @param {boolean} isBold */
function badges(conversation, unread, isBold) {
  const label = unread > 0 ? t("list.unread.label", { n: unread }) : t("list.marked");
  const owner = conversation.owner ? (conversation.owner_name ?? "") : "";
  if (!isBold && !owner && !conversation.blocked) return null;
  return el(
    "span",
    { class: "wa-row-badges" },
    conversation.blocked && icon("block"),
    owner && el("span", { class: "wa-row-owner", title: t("list.owner", { name: owner }) }, initials(owner)),
    isBold &&
      el(
        "span",
        { class: "wa-unread", title: label, data: { testid: "unread-badge", count: unread } },
        unread > 99 ? "99+" : unread > 0 ? String(unread) : "",
      ),
    isBold && el("span", { class: "wa-unseen" }, label),
  );
}

/** @param {Conversation} conversation @param {RowLook} look */
function preview(conversation, look) {
  if (look.presence) return el("bdi", { class: "wa-row-presence", data: { testid: "presence" } }, look.presence);
  if (look.draft) return el("bdi", {}, el("span", { class: "wa-row-draft" }, t("list.draft")), ` ${look.draft}`);
  const last = conversation.last_message;
  if (!last) return null;
  return el("bdi", { class: last.deleted_at ? "wa-deleted" : null }, ...previewParts(conversation, last, look.highlight));
}

/** @type {Record<string, import("../common/icons.js").IconName>} */
const OWN_SIGNS = { sent: "check", delivered: "double", read: "double", played: "double" };

/** @param {Conversation} conversation @param {Message} last @param {string} highlight @returns {import("../common/dom.js").Child[]} */
function previewParts(conversation, last, highlight) {
  const text = marked(plainText(previewOf(last)), highlight);
  const kind = messageKind(last);
  const sign = kind === "text" || kind === "unknown" || last.deleted_at ? null : kind === "call" ? "missed" : kind;
  const kindIcon = sign && icon(/** @type {import("../common/icons.js").IconName} */ (sign));
  if (last.direction === "out") {
    const state = deliveryState(last);
    const failed = state === "failed" || state === "unknown";
    const tick = el(
      "span",
      { class: `wa-row-tick wa-tick-${state}` },
      icon(failed ? "alert" : (OWN_SIGNS[state] ?? "clock")),
      el("span", { class: "wa-unseen" }, `${t(`delivery.${state}`)}: `),
    );
    const [before, after = ""] = t("list.you", { text: "\u0000" }).split("\u0000");
    return [tick, kindIcon, before, ...text, after];
  }
  if (isGroup(conversation.chat) && !last.deleted_at) {
    const [before, after = ""] = t("list.sender", { name: senderName(last), text: "\u0000" }).split("\u0000");
    return [kindIcon, before, ...text, after];
  }
  return [kindIcon && el("span", { class: kind === "call" ? "wa-row-missed" : null }, kindIcon), ...text];
}

/** The text with what was looked for marked in it. @param {string} text @param {string} wanted @returns {import("../common/dom.js").Child[]} */
export function marked(text, wanted) {
  const at = wanted ? text.toLocaleLowerCase().indexOf(wanted.toLocaleLowerCase()) : -1;
  if (at < 0) return [text];
  const end = at + wanted.length;
  return [text.slice(0, at), el("mark", {}, text.slice(at, end)), text.slice(end)];
}
