/**
 * One conversation in the list; updated in place.
 *
 * Names stand in `bdi`: a right-to-left name reads its own way and still begins where names begin on this page.
 */

import { el, fill } from "../shared/dom.js";
import { displayName, exactTime, formatPhone, hue, initials, listTime } from "../shared/format.js";
import { icon } from "../shared/icons.js";
import { conversationKey } from "./order.js";
import { deliveryState, previewOf } from "../shared/states.js";
import { t } from "../shared/strings.js";

/** @import { Conversation } from "../shared/types.js" */

/** @param {Conversation} conversation */
export function avatar(conversation) {
  const name = displayName(conversation);
  return el(
    "span",
    { class: `wa-avatar wa-hue-${hue(conversation.chat)}`, "aria-hidden": "true" },
    initials(name),
  );
}

export class ConversationRow {
  #drawn = "";
  #button;

  /** @param {Conversation} conversation @param {(key: string) => void} open */
  constructor(conversation, open) {
    const key = conversationKey(conversation);
    this.#button = el("button", {
      type: "button",
      class: "wa-row",
      data: { testid: "conversation-row", session: conversation.session_id, chat: conversation.chat },
      onclick: () => open(key),
    });
    this.element = el("li", {}, this.#button);
  }

  /**
   * @param {Conversation} conversation
   * @param {{zone: string, now: number, selected: boolean, sessionName: string | null}} look
   */
  update(conversation, { zone, now, selected, sessionName }) {
    if (selected) this.#button.setAttribute("aria-current", "true");
    else this.#button.removeAttribute("aria-current");
    const at = Date.parse(conversation.last_at ?? "") || 0;
    const when = at ? listTime(at, now, zone) : "";
    const drawn = JSON.stringify([conversation, when, sessionName]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const { unread, last_message: last } = conversation;
    const label = t("list.unread.label", { n: unread });
    this.#button.classList.toggle("wa-has-unread", unread > 0);
    this.#button.dataset.unread = String(unread);
    fill(
      this.#button,
      avatar(conversation),
      el("span", { class: "wa-row-name" }, el("bdi", {}, displayName(conversation))),
      el(
        "time",
        {
          class: "wa-row-time",
          datetime: at ? new Date(at).toISOString() : null,
          title: at ? exactTime(at, zone) : null,
        },
        when,
      ),
      el("span", { class: "wa-row-preview" }, last && preview(last)),
      unread > 0 &&
        el(
          "span",
          { class: "wa-unread", title: label, data: { testid: "unread-badge", count: unread } },
          unread > 99 ? "99+" : unread,
        ),
      sessionName !== null && el("span", { class: "wa-row-session" }, el("bdi", {}, sessionName)),
    );
    const phone = formatPhone(conversation.phone);
    this.#button.title = phone === displayName(conversation) ? "" : phone;
  }
}

/** @param {import("../shared/types.js").Message} message */
function preview(message) {
  const own = message.direction === "out";
  const state = own ? deliveryState(message) : null;
  const text = own ? t("list.you", { text: previewOf(message) }) : previewOf(message);
  const failed = state === "failed" || state === "unknown";
  return el("bdi", { class: message.deleted_at ? "wa-deleted" : null }, failed && icon("alert"), text);
}
