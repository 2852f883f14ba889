/** What a row says of a number, and what it asks before it is deleted. Shows nothing itself. */

import { formatPhone } from "../common/format.js";

const SHOWN_DIGITS = 3;

/**
 * The number for this login's eyes: who may only read sees its country and its last digits.
 *
 * @param {string | null | undefined} phone @param {boolean} whole
 */
export function phoneFor(phone, whole) {
  const shown = formatPhone(phone ?? null);
  if (whole) return shown;
  const digits = [...shown].filter((letter) => /\d/.test(letter)).length;
  let at = 0;
  const country = shown.startsWith("+") ? (shown.split(" ")[0].match(/\d/g)?.length ?? 0) : 0;
  return shown.replace(/\d/g, (digit) => {
    at += 1;
    return at <= country || at > digits - SHOWN_DIGITS ? digit : "•";
  });
}

/** Whether the name was typed that a deletion asks for; the keyboard's capitals and spaces do not matter. @param {string} typed @param {string} name */
export function isNameTyped(typed, name) {
  const plain = (/** @type {string} */ text) => text.normalize("NFKC").trim().replace(/\s+/g, " ").toLowerCase();
  return plain(typed) !== "" && plain(typed) === plain(name);
}
