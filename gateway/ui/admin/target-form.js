/** The form for a new target: an address, the numbers, the events, and whether it is sent what WasenderAPI sends. */

import { el, fill, uniqueId } from "../common/dom.js";
import { field } from "../common/field.js";
import { RestError } from "../common/rest.js";
import { t } from "../common/strings.js";
import { isAddress, PATH, readEvents } from "./target.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { Target } from "./target.js" */

/**
 * Asks for a new target; resolves with it when the gateway has taken it, with its secret, or with null.
 *
 * @param {Backend} backend @param {Element} inside
 * @returns {Promise<Target | null>}
 */
export function askTarget(backend, inside) {
  const title = uniqueId("target-title");
  const url = field(t("targets.url"), t("targets.url.hint"), { name: "url", type: "url", inputmode: "url", autocomplete: "off", dir: "ltr" });
  const events = field(t("targets.events"), t("targets.events.hint"), { name: "events", autocomplete: "off", dir: "ltr", spellcheck: "false" });
  const raw = el("input", { type: "checkbox", name: "raw" });
  const mayRaw = backend.me?.sessions === "*";
  const boxes = backend.sessions.list().map((session) => {
    const input = el("input", { type: "checkbox" });
    return { id: session.id, input, element: el("label", { class: "wa-check" }, input, el("bdi", {}, session.name || session.phone_number)) };
  });
  const numbers = el("fieldset", { class: "wa-choices" }, el("legend", {}, t("targets.numbers")), el("p", { class: "wa-hint" }, t("targets.numbers.hint")));
  fill(numbers, ...numbers.childNodes, el("div", { class: "wa-person-numbers" }, ...boxes.map((box) => box.element)));
  const refused = el("p", { class: "wa-complaint", role: "alert" });
  const submit = el("button", { type: "submit", class: "wa-button wa-strong" }, t("targets.add.submit"));
  const dialog = el(
    "dialog",
    { class: "wa-ask wa-person", "aria-labelledby": title, data: { testid: "target-form" } },
    el(
      "form",
      { method: "dialog", novalidate: true },
      el("h2", { id: title }, t("targets.add")),
      url.element,
      numbers,
      events.element,
      mayRaw && el("label", { class: "wa-check" }, raw, el("span", {}, t("targets.raw"), el("span", { class: "wa-hint" }, t("targets.raw.hint")))),
      refused,
      el("div", { class: "wa-ask-row" }, el("button", { type: "button", class: "wa-button", onclick: () => dialog.close() }, t("common.cancel")), submit),
    ),
  );
  /** @type {Target | null} */
  let added = null;

  async function send() {
    refused.textContent = "";
    if (!isAddress(url.input.value)) {
      url.complain(t("targets.url.wrong"));
      url.input.focus();
      return;
    }
    const ticked = boxes.filter((box) => box.input.checked).map((box) => box.id);
    const everything = mayRaw ? { sessions: "*" } : {};
    const wish = { url: url.input.value.trim(), events: readEvents(events.input.value), mode: raw.checked ? "raw" : "standard", ...(ticked.length ? { sessions: ticked } : everything) };
    submit.disabled = true;
    try {
      added = (await backend.rest.post(PATH, wish)).data;
      dialog.close();
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      refused.textContent = error.message;
    } finally {
      submit.disabled = false;
    }
  }

  return new Promise((resolve) => {
    dialog.addEventListener("submit", (event) => {
      event.preventDefault();
      void send();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(added);
    });
    inside.append(dialog);
    dialog.showModal();
    url.input.focus();
  });
}
