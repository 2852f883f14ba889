/** What stands at a number whose webhooks do not arrive, and the button that mends it. */

import { el } from "../common/dom.js";
import { icon } from "../common/icons.js";
import { hasText, t } from "../common/strings.js";
import { showFailure, showToast } from "../common/toast.js";

/** @import { Session } from "../common/types.js" */

/** One request however often it is pressed. @param {() => Promise<void>} repair */
export function repairButton(repair) {
  const button = el("button", { type: "button", class: "wa-button", data: { testid: "repair-webhook" } }, t("webhook.repair"));
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await repair();
      showToast(t("webhook.repaired"), { tone: "good" });
    } catch (error) {
      showFailure(error);
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

/**
 * The notice of a number, or nothing where its webhooks are in order or were not looked at.
 *
 * @param {Session} session @param {(() => Promise<void>) | null} repair  null where this login may not
 */
export function webhookNotice(session, repair) {
  const state = session.webhook_state;
  const key = `webhook.${state}`;
  if (!state || state === "ok") return null;
  const text = hasText(key) ? t(key) : session.webhook_note ?? state;
  return el("p", { class: "wa-session-webhook", data: { testid: "webhook-notice", state } }, icon("alert"), el("span", { dir: "auto" }, text), repair && repairButton(repair));
}
