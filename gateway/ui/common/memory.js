/**
 * What the page keeps in this browser between visits: drafts, texts not yet taken by the gateway, and settings.
 *
 * The only file that touches the browser's storage. No login, key or message of a customer is ever kept here. Where
 * the browser refuses storage, everything works until the page is closed.
 */

const PREFIX = "whatsapp-gateway:";

/** @type {Map<string, string>} */
const fallback = new Map();

/** @returns {Storage | null} */
function storage() {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null; // the browser was told to refuse
  }
}

/**
 * What was kept under `name`, or `otherwise`.
 *
 * @template T
 * @param {string} name
 * @param {T} otherwise
 * @returns {T}
 */
export function recall(name, otherwise) {
  try {
    const text = storage()?.getItem(PREFIX + name) ?? fallback.get(name);
    return text ? JSON.parse(text) : otherwise;
  } catch {
    return otherwise;
  }
}

/** Keeps `value` under `name`; undefined forgets it. @param {string} name @param {unknown} value */
export function keep(name, value) {
  const text = value === undefined ? undefined : JSON.stringify(value);
  if (text === undefined) fallback.delete(name);
  else fallback.set(name, text);
  try {
    if (text === undefined) storage()?.removeItem(PREFIX + name);
    else storage()?.setItem(PREFIX + name, text);
  } catch {
    // Full, or refused: the fallback has it for this visit.
  }
}
