/** What can be done with one message, as its menu and its links ask for it. */

import { deliveryState } from "../common/states.js";
import { showMenu } from "../common/menu.js";
import { t } from "../common/strings.js";
import { showToast } from "../common/toast.js";

/** @import { BubbleActions } from "./attachment.js" */
/** @import { Sending } from "./sending.js" */
/** @import { Backend } from "../common/backend.js" */
/** @import { Message } from "../common/types.js" */

const EDITABLE_MS = 15 * 60_000;
const GONE_OUT = new Set(["accepted", "sent", "delivered", "read", "played"]);

/**
 * @param {Element} _place @param {Backend} backend @param {Sending} sending
 * @param {{answer: (message: Message) => void, edit: (message: Message) => void}} composer
 * @returns {Pick<BubbleActions, "source" | "menu" | "retry" | "remove" | "settle" | "cancel">}
 */
export function messageActions(_place, backend, sending, { answer, edit }) {
  return {
    source: (media, size = null) => backend.media.url(media, size),
    retry: (message) => sending.retry(message),
    remove: (message) => sending.remove(message),
    settle: (message, sent) => void sending.settle(message, sent),
    cancel: (message) => void sending.cancel(message),
    menu: (message, button) => showMenu(button, items(message), t("message.actions")),
  };

  /** @param {Message} message @returns {(import("../common/menu.js").MenuItem | false)[]} */
  function items(message) {
    const isOwn = message.direction === "out";
    const state = isOwn ? deliveryState(message) : null;
    const canSend = backend.canSend;
    const age = backend.rest.now() - Date.parse(message.sent_at ?? message.created_at ?? "");
    const isText = (message.message_type ?? "text") === "text";
    const isQueued = state === "queued";
    const isOut = state !== null && GONE_OUT.has(state);
    return [
      canSend && Boolean(message.id) && { text: t("message.reply"), icon: "reply", run: () => answer(message) },
      Boolean(message.message_text) && { text: t("message.copy"), icon: "copy", run: () => void copy(message) },
      canSend && isOwn && isText && (isQueued || (isOut && age < EDITABLE_MS)) && Boolean(message.id) && { text: t("message.edit"), icon: "pen", run: () => edit(message) },
      canSend && isQueued && { text: t("message.cancel"), icon: "close", bad: true, run: () => void sending.cancel(message) },
      canSend && isOut && { text: t("message.delete"), icon: "trash", bad: true, run: () => void sending.deleteForEveryone(message) },
    ];
  }
}

/** @param {Message} message */
async function copy(message) {
  await navigator.clipboard?.writeText(message.message_text ?? "").then(
    () => showToast(t("message.copied"), { tone: "good" }),
    () => {},
  );
}
