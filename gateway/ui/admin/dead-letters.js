/** What a target did not take within a day, with what it answered last, and sending it again. */

import { el, fill, uniqueId } from "../common/dom.js";
import { exactTime } from "../common/format.js";
import { t } from "../common/strings.js";
import { showFailure, showToast } from "../common/toast.js";
import { PATH } from "./target.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { DeadLetter, Target } from "./target.js" */

const SHOWN = 100;

/**
 * Shows dead letters until the dialog is closed.
 *
 * @param {Backend} backend @param {Element} inside @param {Target} target
 * @returns {Promise<void>}
 */
export async function showDeadLetters(backend, inside, target) {
  const title = uniqueId("letters");
  const list = el("ul", { class: "wa-people-list" });
  const again = el("button", { type: "button", class: "wa-button wa-strong", hidden: true, data: { testid: "redrive" }, onclick: () => void redrive() }, t("targets.redrive"));
  const dialog = el(
    "dialog",
    { class: "wa-ask wa-letters", "aria-labelledby": title, data: { testid: "dead-letters" } },
    el("h2", { id: title }, t("targets.letters")),
    el("p", { class: "wa-hint" }, t("targets.letters.hint")),
    list,
    el("div", { class: "wa-ask-row" }, el("button", { type: "button", class: "wa-button", onclick: () => dialog.close() }, t("common.close")), again),
  );
  const closed = new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.remove())));

  async function redrive() {
    try {
      const { redriven } = (await backend.rest.post(`${PATH}/${target.id}/redrive`)).data;
      showToast(t("targets.redriven", { n: redriven }), { tone: "good" });
      dialog.close();
    } catch (error) {
      showFailure(error);
    }
  }

  inside.append(dialog);
  dialog.showModal();
  try {
    /** @type {DeadLetter[]} */
    const letters = (await backend.rest.get(`${PATH}/${target.id}/deliveries`, { state: "dead", limit: SHOWN })).data;
    again.hidden = !letters.length;
    fill(list, ...(letters.length ? letters.map((letter) => row(letter, backend.zone)) : [el("li", { class: "wa-hint" }, t("targets.letters.none"))]));
  } catch (error) {
    showFailure(error);
    dialog.close();
  }
  await closed;
}

/** @param {DeadLetter} letter @param {string} zone */
function row(letter, zone) {
  const when = letter.ended_at ? exactTime(Date.parse(letter.ended_at), zone) : "";
  return el(
    "li",
    { class: "wa-person-row" },
    el("div", { class: "wa-person-facts" }, el("p", {}, el("code", { dir: "ltr" }, letter.event)), el("p", { class: "wa-hint", dir: "auto" }, [when, letter.answer].filter(Boolean).join(" · "))),
  );
}
