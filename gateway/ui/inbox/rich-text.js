/**
 * A customer's text as nodes: WhatsApp's *bold*, _italic_, ~strike~ and ```code```, and http(s) links.
 *
 * Parts are made by `parseText` and turned into elements by `richText`; markup in the text stays text.
 */

import { el } from "../common/dom.js";

/** @typedef {{kind: "text" | "link" | "strong" | "em" | "s" | "code", text: string}} Part */

/**
 * Text between two marks on one line, with no space inside the marks and no word touching them: `2*3*4` is not bold.
 *
 * @param {string} name @param {string} mark
 */
function between(name, mark) {
  const outside = String.raw`[\p{L}\p{N}${mark}]`;
  const inside = String.raw`[^${mark}\s](?:[^${mark}\n]*[^${mark}\s])?`;
  return `(?<!${outside})[${mark}](?<${name}>${inside})[${mark}](?!${outside})`;
}

const PATTERN = new RegExp(
  [
    String.raw`(?<link>https?://[^\s<>"']+[^\s<>"'.,;:!?)\]])`,
    "```(?<code>[^`]+)```",
    between("strong", "*"),
    between("em", "_"),
    between("s", "~"),
  ].join("|"),
  "gu",
);

/** Longer texts are shown as they are: nobody formats them, and the search would take time. */
const MAX_FORMATTED = 20_000;

/** @param {string} text @returns {Part[]} */
export function parseText(text) {
  if (text.length > MAX_FORMATTED) return [{ kind: "text", text }];
  /** @type {Part[]} */
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(PATTERN)) {
    const found = Object.entries(match.groups ?? {}).find(([, value]) => value !== undefined);
    if (!found) continue;
    if (found[0] === "link" && hostOf(found[1]) === null) continue; // stays a part of the text
    if (match.index > end) parts.push({ kind: "text", text: text.slice(end, match.index) });
    parts.push({ kind: /** @type {Part["kind"]} */ (found[0]), text: found[1] });
    end = match.index + match[0].length;
  }
  if (end < text.length) parts.push({ kind: "text", text: text.slice(end) });
  return parts;
}

/** Letters that show nothing, or turn around what follows: an address that holds one does not read as it is. */
const HIDDEN = /[\p{Cc}\p{Cf}\u115f\u1160\u2800\u3164\uffa0]/u;

/** What stands between `https://` and the path, as browsers read it. */
const AUTHORITY = /^https?:\/\/([^/?#\\]*)/i;

/**
 * The host that a browser opens for an address, in its words; null where the address leads elsewhere than it reads:
 * `https://bank.com@evil.example`, letters that are not seen, no host.
 *
 * @param {string} address
 */
export function hostOf(address) {
  if (HIDDEN.test(address) || !URL.canParse(address)) return null;
  const { host, username, password } = new URL(address);
  return host && !username && !password && !AUTHORITY.exec(address)?.[1].includes("@") ? host : null;
}

/**
 * The parts of a text up to so many letters and lines; null where that is all. What is cut is no link: it would open
 * another address.
 *
 * @param {Part[]} parts @param {number} most @param {number} lines @returns {Part[] | null}
 */
export function beginningOf(parts, most, lines) {
  /** @type {Part[]} */
  const kept = [];
  let [left, leftLines] = [most, lines];
  for (const { kind, text } of parts) {
    const cut = cutAt(text, left, leftLines);
    kept.push({ kind: kind === "link" && cut !== text ? "text" : kind, text: cut });
    if (cut !== text) return kept;
    left -= text.length;
    leftLines -= text.split("\n").length - 1;
  }
  return null;
}

/** @param {string} text @param {number} most @param {number} lines */
function cutAt(text, most, lines) {
  const rows = text.split("\n", lines + 1);
  if (text.length <= most && rows.length <= lines) return text;
  const begin = rows.slice(0, lines).join("\n");
  if (begin.length <= most) return begin.trimEnd();
  const letters = [...begin.slice(0, most + 2)].slice(0, most).join("");
  const space = letters.lastIndexOf(" ");
  return space < most / 2 ? letters : letters.slice(0, space).trimEnd();
}

/** The text without its marks, as a list shows it. @param {string} text */
export function plainText(text) {
  return parseText(text)
    .map((part) => part.text)
    .join("");
}

/** @param {Part[]} parts @returns {(string | HTMLElement)[]} */
export function richText(parts) {
  return parts.flatMap(/** @returns {(string | HTMLElement)[]} */ ({ kind, text }) => {
    if (kind === "text") return [text];
    return kind === "link" ? linkOf(text) : [el(kind, {}, text)];
  });
}

/** Where a host is written in other letters than it is called by, its name stands beside: `аpple.com` is `xn--pple-43d.com`. @param {string} address */
function linkOf(address) {
  const link = el("a", { href: address, target: "_blank", rel: "noopener noreferrer", dir: "auto" }, address);
  const host = hostOf(address) ?? "";
  const [, written] = AUTHORITY.exec(address) ?? [];
  if (written.toLowerCase().replace(/:(?:80|443)?$/, "") === host) return [link];
  return [link, el("span", { class: "wa-link-host", dir: "ltr" }, ` [${host}]`)];
}

const EMOJI_ONLY = /^(?:[\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Regional_Indicator}\u200d\ufe0f\u20e3\s]|[#*0-9]\ufe0f?\u20e3)+$/u;

/** Whether a text is a few emoji and nothing else: then it is shown large. @param {string} text */
export function isEmojiOnly(text) {
  const compact = text.trim();
  if (!compact || compact.length > 40 || !EMOJI_ONLY.test(compact)) return false;
  return [...new Intl.Segmenter().segment(compact.replace(/\s+/g, ""))].length <= 3;
}
