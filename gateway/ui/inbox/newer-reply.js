/** A calm question: a colleague answered while this was being written. Shows what was said, and asks. */

import { el } from "../common/dom.js";
import { clockTime } from "../common/format.js";
import { icon } from "../common/icons.js";
import { previewOf } from "../common/states.js";
import { t } from "../common/strings.js";
import { messageTime } from "./order.js";

/** @import { Message } from "../common/types.js" */

/**
 * @param {Message[]} messages  what was not seen
 * @param {string} text  what was to be sent
 * @param {string} zone
 * @param {{send: () => void, keep: () => void}} actions
 */
export function newerReply(messages, text, zone, { send, keep }) {
  const last = messages.at(-1);
  const who = last?.created_by ?? null;
  const title = who && last?.origin !== "phone" ? t("newer.title", { name: who }) : t("newer.title.phone");
  const panel = el(
    "section",
    { class: "wa-newer", role: "alertdialog", "aria-label": title, data: { testid: "newer-reply" } },
    el("h3", {}, icon("people"), title),
    ...messages.slice(-3).map((message) =>
      el(
        "p",
        { class: "wa-newer-said", dir: "auto" },
        previewOf(message),
        el("time", {}, clockTime(messageTime(message), zone)),
      ),
    ),
    el("p", { class: "wa-newer-own", dir: "auto" }, text),
    el(
      "div",
      { class: "wa-newer-row" },
      el("button", { type: "button", class: "wa-button", onclick: () => (panel.remove(), keep()) }, t("newer.keep")),
      el("button", { type: "button", class: "wa-button wa-strong", onclick: () => (panel.remove(), send()) }, t("newer.send")),
    ),
  );
  return panel;
}
