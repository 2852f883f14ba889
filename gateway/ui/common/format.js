/** Times, phone numbers and names as people read them. Everything takes the zone and the moment it is asked for. */

import { locale, t } from "./strings.js";

/** @type {Map<string, Intl.DateTimeFormat>} building a formatter costs more than using it */
const formatters = new Map();

/** @param {string} zone @param {Intl.DateTimeFormatOptions} options */
function formatter(zone, options) {
  const key = locale() + zone + JSON.stringify(options);
  let found = formatters.get(key);
  if (!found) {
    try {
      found = new Intl.DateTimeFormat(locale(), { timeZone: zone, ...options });
    } catch {
      found = new Intl.DateTimeFormat(locale(), { timeZone: "UTC", ...options }); // a zone this browser lacks
    }
    formatters.set(key, found);
  }
  return found;
}

/** The calendar day in a zone, as a number that grows by one a day. @param {number} ms @param {string} zone */
export function dayNumber(ms, zone) {
  const parts = formatter(zone, {
    year: "numeric",
    month: "numeric",
    day: "numeric",
    calendar: "gregory",
    numberingSystem: "latn",
  });
  const at = Object.fromEntries(parts.formatToParts(ms).map((part) => [part.type, Number(part.value)]));
  return Math.round(Date.UTC(at.year, at.month - 1, at.day) / 86_400_000);
}

/** `14:05` @param {number} ms @param {string} zone */
export function clockTime(ms, zone) {
  return formatter(zone, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(ms);
}

/** Date and time in full, for titles. @param {number} ms @param {string} zone */
export function exactTime(ms, zone) {
  return formatter(zone, { dateStyle: "full", timeStyle: "medium" }).format(ms);
}

/** Today, Yesterday, Monday, or the date. @param {number} ms @param {number} now @param {string} zone */
export function dayName(ms, now, zone) {
  const days = dayNumber(now, zone) - dayNumber(ms, zone);
  if (days === 0) return t("thread.today");
  if (days === 1) return t("thread.yesterday");
  if (days === -1) return t("thread.tomorrow");
  if (days > 1 && days < 7) return formatter(zone, { weekday: "long" }).format(ms);
  return formatter(zone, { day: "numeric", month: "long", year: "numeric" }).format(ms);
}

/** Short form for a list: the time today, then the day, then the date. @param {number} ms @param {number} now @param {string} zone */
export function listTime(ms, now, zone) {
  const days = dayNumber(now, zone) - dayNumber(ms, zone);
  if (days === 0) return clockTime(ms, zone);
  if (days === 1) return t("thread.yesterday");
  if (days > 1 && days < 7) return formatter(zone, { weekday: "short" }).format(ms);
  return formatter(zone, { day: "2-digit", month: "2-digit", year: "2-digit" }).format(ms);
}

/** `40 seconds ago` @param {string | null | undefined} at @param {number} now */
export function ago(at, now) {
  const ms = at ? Date.parse(at) : NaN;
  if (Number.isNaN(ms)) return "";
  const seconds = Math.max(0, Math.round((now - ms) / 1000));
  const relative = new Intl.RelativeTimeFormat(locale(), { numeric: "auto" });
  if (seconds < 60) return relative.format(-seconds, "second");
  if (seconds < 3600) return relative.format(-Math.round(seconds / 60), "minute");
  if (seconds < 86_400) return relative.format(-Math.round(seconds / 3600), "hour");
  return relative.format(-Math.round(seconds / 86_400), "day");
}

/** How long a customer has waited: `12 min`, `3 h`, `2 days`. @param {number} ms */
export function waited(ms) {
  const minutes = Math.max(0, Math.floor(ms / 60_000));
  if (minutes < 60) return measure(minutes, "minute");
  if (minutes < 48 * 60) return measure(Math.floor(minutes / 60), "hour");
  return measure(Math.floor(minutes / 1440), "day");
}

/** @param {number} value @param {string} unit */
function measure(value, unit) {
  return new Intl.NumberFormat(locale(), { style: "unit", unit, unitDisplay: "short" }).format(value);
}

/** `0:14`, `1:02:03` @param {number} seconds */
export function duration(seconds) {
  const all = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const tail = String(rest).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/** `184 kB` @param {number} bytes */
export function fileSize(bytes) {
  if (bytes < 1000) return measure(bytes, "byte");
  if (bytes < 999_500) return measure(Math.round(bytes / 1000), "kilobyte");
  return measure(Math.round(bytes / 100_000) / 10, "megabyte");
}

/**
 * Digits in groups, for the eye: `923001234567` → `+92 300 1234567`. Country codes of one and three digits are
 * known by their first digits; the rest have two. A wrong guess only moves a space.
 *
 * @param {string | null | undefined} phone
 */
export function formatPhone(phone) {
  const digits = (phone ?? "").replace(/\D/g, "");
  if (digits.length < 7 || digits.length > 15) return phone ?? "";
  const length = /^[17]/.test(digits)
    ? 1
    : /^(2[1-69]|3[578]|42|5[09]|6[789]|8[058]|9[679])/.test(digits)
      ? 3
      : 2;
  return `+${digits.slice(0, length)} ${digits.slice(length, length + 3)} ${digits.slice(length + 3)}`;
}

/**
 * The number as upstream wants it, or null if it cannot be one (E.164: at most 15 digits, none of them a leading 0).
 *
 * @param {string} typed
 */
export function toE164(typed) {
  const compact = typed
    .trim()
    .replace(/^00/, "+")
    .replace(/[\s().\-\u00a0\u2010-\u2015]/g, "");
  return /^\+[1-9]\d{6,14}$/.test(compact) ? compact : null;
}

/** @param {string} name @returns {string} one or two letters; `#` for a bare number */
export function initials(name) {
  const letters = [...name.matchAll(/(?:^|\s)\P{L}*(\p{L})/gu)].map((match) => match[1]);
  if (!letters.length) return "#";
  return (letters[0] + (letters.length > 1 ? letters[letters.length - 1] : "")).toUpperCase();
}

/** One of eight colours, the same one for the same chat. @param {string} text */
export function hue(text) {
  let sum = 0;
  for (const letter of text) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return sum % 8;
}

const LONGEST_NAME = 80;
/** Letters that turn the direction of all that follows. */
const TURNS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const UNSEEN = /[\p{C}\p{Z}\p{M}\u115f\u1160\u2800\u3164\uffa0]/gu;

/** Whether a person sees anything of a text: spaces, and letters of no width, show nothing. @param {string | null | undefined} text */
export function isVisible(text) {
  return !!text && text.replace(UNSEEN, "") !== "";
}

/** Marks that pile up on one letter, more than any script has. */
const PILED = /(\p{M}{4})\p{M}+/gu;

/** @param {string} text */
function oneLine(text) {
  return text.slice(0, 1000).replace(TURNS, "").replace(PILED, "$1").replace(/[\p{Cc}\p{Z}]+/gu, " ").trim();
}

const LONGEST_FILE_NAME = 60;
const FILE_ENDING = 16;

/**
 * A file's name as one line that turns nothing around: a long one keeps its end, which says what kind of file it is.
 *
 * @param {string | null | undefined} name
 */
export function fileName(name) {
  const letters = [...oneLine(name ?? "")];
  if (letters.length <= LONGEST_FILE_NAME) return letters.join("");
  return `${letters.slice(0, LONGEST_FILE_NAME - FILE_ENDING).join("")}…${letters.slice(-FILE_ENDING).join("")}`;
}

/**
 * A name that a customer chose, as our own sentences can hold it: one line of bearable length that turns nothing around.
 * Empty where nothing of it is to be seen.
 *
 * @param {string | null | undefined} text
 */
export function nameLine(text, most = LONGEST_NAME) {
  if (!text || !isVisible(text)) return "";
  const line = oneLine(text);
  if (line.length <= most) return line;
  const letters = [...new Intl.Segmenter().segment(line)];
  return letters.length <= most ? line : `${letters.slice(0, most).map((one) => one.segment).join("").trimEnd()}…`;
}

/**
 * What to call the other side: the saved name, else the number, else what the address says before the `@`.
 *
 * @param {{name?: string | null, phone?: string | null, chat: string | null}} of
 */
export function displayName(of) {
  return nameLine(of.name) || formatPhone(of.phone) || (of.chat ?? "").split("@")[0];
}
