/** What is said of a person who logs in: read from a form, compared with what was, and put in words. Shows nothing. */

import { t } from "../common/strings.js";

/** @import { TextKey } from "../common/strings.js" */
/** @import { Me, Role, Session } from "../common/types.js" */

/**
 * @typedef {object} LoginPerson  one of `/api/people`
 * @property {number} id
 * @property {string} sub
 * @property {string} name
 * @property {Role} role
 * @property {"*" | number[]} sessions  the numbers whose messages the person may see
 * @property {string | null} disabled_at
 * @property {boolean} has_password
 * @property {string | null} created_at
 *
 * @typedef {object} PersonForm  as it was filled in
 * @property {string} name
 * @property {Role} role
 * @property {"*" | number[]} sessions
 * @property {string} password  empty: none, or the one that is there
 *
 * @typedef {"name" | "sessions" | "password"} PersonField
 */

/** @type {readonly Role[]} */
export const ROLES = ["viewer", "agent", "admin"];

const MAX_NAME = 100;
export const MIN_PASSWORD = 8;
const MAX_PASSWORD = 1000;

/** Letters and digits that people do not mix up when they are read from paper. */
const CLEAR = "abcdefghjkmnpqrstuvwxyz23456789";
const GROUPS = 4;

/** What is wrong with a form, field by field; empty if it can be sent. @param {PersonForm} form */
export function complaintsOf(form) {
  /** @type {Partial<Record<PersonField, TextKey>>} */
  const found = {};
  const name = form.name.trim();
  if (!name) found.name = "people.name.missing";
  else if ([...name].length > MAX_NAME) found.name = "people.name.long";
  if (form.sessions !== "*" && !form.sessions.length) found.sessions = "people.numbers.missing";
  if (form.password && !isPassword(form.password)) found.password = "people.password.short";
  return found;
}

/** Whether the gateway takes it as a password. @param {string} text */
export function isPassword(text) {
  const { length } = [...text];
  return length >= MIN_PASSWORD && length <= MAX_PASSWORD;
}

/** What a new person is made of. @param {PersonForm} form */
export function newPerson({ name, role, sessions, password }) {
  return { name: name.trim(), role, sessions, ...(password ? { password } : {}) };
}

/**
 * Only what is another than before: a password that is sent ends every login of the person, so none is sent unasked.
 *
 * @param {LoginPerson} before @param {PersonForm} form
 */
export function changesOf(before, form) {
  /** @type {Partial<PersonForm>} */
  const changes = {};
  if (form.name.trim() !== before.name) changes.name = form.name.trim();
  if (form.role !== before.role) changes.role = form.role;
  if (!sameNumbers(form.sessions, before.sessions)) changes.sessions = form.sessions;
  if (form.password) changes.password = form.password;
  return changes;
}

/** @param {"*" | number[]} a @param {"*" | number[]} b */
function sameNumbers(a, b) {
  if (a === "*" || b === "*") return a === b;
  return a.length === b.length && a.every((id) => b.includes(id));
}

/** The numbers that a person may see, in words. @param {"*" | number[]} ids @param {Session[]} sessions */
export function numbersOf(ids, sessions) {
  if (ids === "*") return t("people.numbers.all");
  if (!ids.length) return t("people.numbers.none");
  const names = new Map(sessions.map((session) => [session.id, session.name || session.phone_number]));
  return ids.map((id) => names.get(id) ?? t("people.numbers.unknown", { id: String(id) })).join(", ");
}

/** Whether this is the person who looks. @param {LoginPerson} person @param {Me | null} me */
export function isMe(person, me) {
  return person.sub === me?.sub;
}

/** A password to be read out once: 16 letters and digits in groups. @param {(bytes: Uint8Array) => void} [random] */
export function makePassword(random = (bytes) => void crypto.getRandomValues(bytes)) {
  /** @type {string[]} */
  const letters = [];
  const bytes = new Uint8Array(64);
  // A byte beyond the last whole round would make the first letters likelier than the others.
  const limit = 256 - (256 % CLEAR.length);
  while (letters.length < GROUPS * 4) {
    random(bytes);
    for (const byte of bytes) if (byte < limit && letters.length < GROUPS * 4) letters.push(CLEAR[byte % CLEAR.length]);
  }
  return Array.from({ length: GROUPS }, (_, at) => letters.slice(at * 4, at * 4 + 4).join("")).join("-");
}
