/** A labelled field of a form, with a hint and a complaint that a screen reader reads with it. */

import { el, uniqueId } from "./dom.js";

/**
 * @param {string} label
 * @param {string} hint
 * @param {Record<string, any>} attributes  of the input
 */
export function field(label, hint, attributes) {
  const id = uniqueId("field");
  const described = `${id}-hint ${id}-error`;
  const input = el("input", { id, class: "wa-input", "aria-describedby": described, ...attributes });
  const complaint = el("p", { id: `${id}-error`, class: "wa-complaint", role: "alert" });
  const element = el(
    "div",
    { class: "wa-field" },
    el("label", { for: id }, label),
    input,
    el("p", { id: `${id}-hint`, class: "wa-hint" }, hint),
    complaint,
  );
  /** @param {string} text */
  const complain = (text) => {
    complaint.textContent = text;
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  input.addEventListener("input", () => complain(""));
  return { element, input, complain };
}
