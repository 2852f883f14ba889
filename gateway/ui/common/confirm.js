/** One question before something that cannot be taken back; the focus stands on the harmless answer. */

import { el, uniqueId } from "./dom.js";
import { t } from "./strings.js";

/**
 * @param {Element} inside  where the dialog stands, so that it has the element's style
 * @param {string} question
 * @param {string} action  what the button says
 * @returns {Promise<boolean>}
 */
export function confirmed(inside, question, action) {
  const id = uniqueId("question");
  const cancel = el("button", { type: "submit", class: "wa-button", value: "" }, t("common.cancel"));
  const go = el("button", { type: "submit", class: "wa-button wa-strong wa-danger", value: "yes" }, action);
  const dialog = el(
    "dialog",
    { class: "wa-ask", role: "alertdialog", "aria-labelledby": id },
    el("form", { method: "dialog" }, el("p", { id, dir: "auto" }, question), el("div", { class: "wa-ask-row" }, cancel, go)),
  );
  inside.append(dialog);
  dialog.showModal();
  cancel.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

/**
 * Asks for one line of text; null if there was none.
 *
 * @param {Element} inside @param {{title: string, label: string, value?: string, type?: string, submit: string}} ask
 * @returns {Promise<string | null>}
 */
export function asked(inside, { title, label, value = "", type = "text", submit }) {
  const id = uniqueId("ask");
  const input = el("input", { class: "wa-input", id: `${id}-input`, type, value, dir: "auto", required: true });
  const dialog = el(
    "dialog",
    { class: "wa-ask", "aria-labelledby": id },
    el(
      "form",
      { method: "dialog" },
      el("h2", { id }, title),
      el("label", { for: `${id}-input` }, label),
      input,
      el(
        "div",
        { class: "wa-ask-row" },
        el("button", { type: "button", class: "wa-button", onclick: () => dialog.close("") }, t("common.cancel")),
        el("button", { type: "submit", class: "wa-button wa-strong", value: "yes" }, submit),
      ),
    ),
  );
  inside.append(dialog);
  dialog.showModal();
  input.select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? input.value.trim() : null);
    });
  });
}
