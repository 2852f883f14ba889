/**
 * The page's sentences in the language of the person: one catalogue a language, in `texts/`.
 *
 * A text may depend on a number: then it has the forms of the language's plural rules (`one`, `few`, `other`, …),
 * chosen by the parameter `n`. A further language is one file like `texts/ar.js`, named in `CATALOGUES`; what it
 * leaves out is shown in English.
 */

import { ar } from "./texts/ar.js";
import { en } from "./texts/en.js";

/** @typedef {keyof typeof en} TextKey */
/** @typedef {Partial<Record<TextKey, string | Record<string, string>>>} Catalogue */

/** @type {Record<string, Catalogue>} */
export const CATALOGUES = { en, ar };

const RIGHT_TO_LEFT = new Set(["ar", "fa", "he", "ps", "sd", "ug", "ur", "yi"]);

const chosen = { language: "en", plurals: new Intl.PluralRules("en"), numbers: new Intl.NumberFormat("en") };

/** @param {string | null | undefined} wished  for example `en-GB` @returns {string} a language we have */
export function chooseLanguage(wished) {
  return has(wished) ? code(wished) : "en";
}

/** @param {string | null | undefined} wished */
const code = (wished) => (wished ?? "").toLowerCase().split("-")[0];

/** @param {string | null | undefined} wished */
const has = (wished) => Object.hasOwn(CATALOGUES, code(wished));

/** Takes the asked language, else the first of the browser's that we have. @param {string | null} asked */
export function useLanguage(asked) {
  const browsers = globalThis.navigator?.languages ?? [];
  const language = chooseLanguage([asked, ...browsers].find(has));
  chosen.language = language;
  chosen.plurals = new Intl.PluralRules(language);
  chosen.numbers = new Intl.NumberFormat(locale());
}

export function language() {
  return chosen.language;
}

/** What `Intl` is asked for: the browser's own form of the language (`en-GB`), with the digits that phones are dialled with. */
export function locale() {
  const own = (globalThis.navigator?.languages ?? []).find((item) => code(item) === chosen.language);
  return `${(own ?? chosen.language).split("-u-")[0]}-u-nu-latn`;
}

/** @param {string} of @returns {"ltr" | "rtl"} */
export function directionOf(of) {
  return RIGHT_TO_LEFT.has(code(of)) ? "rtl" : "ltr";
}

/**
 * The text for `key`, with `{name}` replaced by parameters.
 *
 * @param {TextKey} key
 * @param {Record<string, string | number>} [params]
 */
export function t(key, params = {}) {
  const entry = CATALOGUES[chosen.language][key] ?? /** @type {Catalogue} */ (en)[key] ?? key;
  const form = typeof entry === "string" ? entry : entry[chosen.plurals.select(Number(params.n))];
  const text = form ?? /** @type {Record<string, string>} */ (entry).other;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    if (!(name in params)) return whole;
    const value = params[name];
    return typeof value === "number" ? chosen.numbers.format(value) : value;
  });
}

/** Whether there is such a text: for words of the wire that may be new. @param {string} key @returns {key is TextKey} */
export function hasText(key) {
  return Object.hasOwn(en, key);
}

useLanguage(globalThis.document?.documentElement.lang || null);
