/** A browser by the words that it says of itself, for people: `Firefox on Android`. */

import { t } from "../common/strings.js";

/**
 * @typedef {object} Login  one of `/api/account/logins`
 * @property {string} id
 * @property {string | null} address
 * @property {string | null} agent
 * @property {string | null} created_at
 * @property {string | null} seen_at
 * @property {string | null} ends_at
 * @property {boolean} is_current
 */

/** In this order: most browsers also call themselves Chrome and Safari. @type {[RegExp, string][]} */
const BROWSERS = [
  [/\bEdgA?(?:iOS)?\//, "Edge"],
  [/\bOPR\/|\bOpera\b/, "Opera"],
  [/SamsungBrowser\//, "Samsung Internet"],
  [/\b(?:Firefox|FxiOS)\//, "Firefox"],
  [/\b(?:Chrome|CriOS|HeadlessChrome)\//, "Chrome"],
  [/\bSafari\//, "Safari"],
];

/** @type {[RegExp, string][]} */
const SYSTEMS = [
  [/Android/, "Android"],
  [/iPhone/, "iPhone"],
  [/iPad/, "iPad"],
  [/Windows/, "Windows"],
  [/CrOS/, "ChromeOS"],
  [/Mac OS X|Macintosh/, "Mac"],
  [/Linux/, "Linux"],
];

/** @param {[RegExp, string][]} known @param {string} text */
const first = (known, text) => known.find(([pattern]) => pattern.test(text))?.[1] ?? null;

/** Browser and system in words; what is unknown keeps its own name. @param {string | null} agent */
export function deviceName(agent) {
  const text = (agent ?? "").trim();
  if (!text) return t("account.device.unknown");
  const browser = first(BROWSERS, text);
  const system = first(SYSTEMS, text);
  if (browser && system) return t("account.device", { browser, system });
  return browser ?? system ?? text.split(/[/\s]/)[0].slice(0, 40);
}

/** Whether it is carried in a pocket. @param {string | null} agent */
export function isPhone(agent) {
  return /Android|iPhone|Mobile/.test(agent ?? "");
}

/** This browser first, then by the last use. @param {Login[]} logins */
export function inOrder(logins) {
  const seen = (/** @type {Login} */ login) => Date.parse(login.seen_at ?? login.created_at ?? "") || 0;
  return [...logins].sort((a, b) => Number(b.is_current) - Number(a.is_current) || seen(b) - seen(a));
}
