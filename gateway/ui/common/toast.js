/** Short notices at the edge of the page. Failures interrupt a screen reader (`alert`), the rest does not. */

import { el } from "./dom.js";
import { icon } from "./icons.js";
import { RestError } from "./rest.js";
import { t } from "./strings.js";

const STAYS_MS = 8000;
const MAX_SHOWN = 3;

/** @type {HTMLElement | null} */
let shelf = null;

/** Where else than on the page itself notices may stand: shadow roots of embedded elements. @type {Set<ShadowRoot>} */
const roots = new Set();

/** From now on notices stand in this root, which has their style. @param {ShadowRoot} root @param {AbortSignal} signal  its end */
export function holdToasts(root, signal) {
  roots.add(root);
  signal.addEventListener("abort", () => roots.delete(root));
}

/** An open modal dialog makes everything outside inert, so notices go where the user is. */
function place() {
  const dialogs = [document, ...roots].flatMap((root) => [...root.querySelectorAll("dialog[open]")]);
  const own = roots.size ? dialogs.filter((dialog) => dialog.getRootNode() !== document) : dialogs;
  const parent = own.at(-1) ?? [...roots].at(-1) ?? document.body;
  shelf ??= el("div", { class: "wa-toasts" });
  if (shelf.parentNode !== parent) parent.append(shelf);
  return shelf;
}

/**
 * @param {string} text
 * @param {{tone?: "bad" | "calm" | "good", action?: {text: string, run: () => void} | null, hint?: string}} [options]
 */
export function showToast(text, { tone = "bad", action = null, hint = "" } = {}) {
  const around = place();
  for (const old of around.querySelectorAll(".wa-toast")) {
    if (old.getAttribute("data-text") === text) old.remove(); // the same failure again is not a second notice
  }
  const close = () => toast.remove();
  const run = () => {
    close();
    action?.run();
  };
  const toast = el(
    "div",
    {
      class: `wa-toast wa-tone-${tone}`,
      role: tone === "bad" ? "alert" : "status",
      data: { testid: "toast", text },
    },
    icon(tone === "bad" ? "alert" : "check"),
    el("div", { class: "wa-toast-text" }, el("p", {}, text), hint && el("p", { class: "wa-hint" }, hint)),
    action && el("button", { type: "button", class: "wa-link", onclick: run }, action.text),
    el(
      "button",
      { type: "button", class: "wa-ghost wa-square", "aria-label": t("error.dismiss"), onclick: close },
      icon("close"),
    ),
  );
  around.append(toast);
  while (around.children.length > MAX_SHOWN) around.firstElementChild?.remove();
  setTimeout(close, STAYS_MS);
}

/**
 * The server's sentence about a call that failed, with what can be done about it.
 *
 * @param {unknown} error
 * @param {{retry?: () => void, refresh?: () => void}} [actions]
 */
export function showFailure(error, { retry, refresh } = {}) {
  if (!(error instanceof RestError)) throw error;
  if (error.status === 401) return; // the login panel says it
  let action = null;
  let hint = "";
  if (error.action === "retry" && retry) action = { text: t("action.retry"), run: retry };
  else if (error.action === "refresh_sessions" && refresh)
    action = { text: t("action.refresh_sessions"), run: refresh };
  else if (error.action === "check_token") hint = t("action.check_token");
  else if (error.action === "show_limit") hint = t("action.show_limit");
  else if (error.action === "fix_input") hint = t("action.fix_input");
  showToast(error.message, { action, hint });
}
