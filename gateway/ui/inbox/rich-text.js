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
    if (match.index > end) parts.push({ kind: "text", text: text.slice(end, match.index) });
    parts.push({ kind: /** @type {Part["kind"]} */ (found[0]), text: found[1] });
    end = match.index + match[0].length;
  }
  if (end < text.length) parts.push({ kind: "text", text: text.slice(end) });
  return parts;
}

/** The text without its marks, as a list shows it. @param {string} text */
export function plainText(text) {
  return parseText(text)
    .map((part) => part.text)
    .join("");
}

/** @param {string} text @returns {(string | HTMLElement)[]} */
export function richText(text) {
  return parseText(text).map(({ kind, text: part }) => {
    if (kind === "text") return part;
    if (kind === "link") return el("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part);
    return el(kind, {}, part);
  });
}

const EMOJI_ONLY = /^(?:[\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Regional_Indicator}\u200d\ufe0f\u20e3\s]|[#*0-9]\ufe0f?\u20e3)+$/u;

/** Whether a text is a few emoji and nothing else: then it is shown large. @param {string} text */
export function isEmojiOnly(text) {
  const compact = text.trim();
  if (!compact || compact.length > 40 || !EMOJI_ONLY.test(compact)) return false;
  return [...new Intl.Segmenter().segment(compact.replace(/\s+/g, ""))].length <= 3;
}
