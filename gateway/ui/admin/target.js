/** What is said of a target of webhooks out, and what a form about one means. Shows nothing. */

/**
 * @typedef {object} Target  one of `/api/webhook-targets`
 * @property {number} id
 * @property {string} url
 * @property {"*" | number[]} sessions
 * @property {"*" | string[]} events
 * @property {"standard" | "raw"} mode
 * @property {string | null} paused_reason
 * @property {string | null} delivered_at
 * @property {number} waiting
 * @property {number} dead
 * @property {string} [secret]  only when it was made just now
 *
 * @typedef {object} DeadLetter  one of `…/deliveries?state=dead`
 * @property {number} id
 * @property {number} session_id
 * @property {string} event
 * @property {string | null} answer
 * @property {string | null} ended_at
 *
 * @typedef {"paused" | "dead" | "waiting" | "fine"} TargetState
 */

export const PATH = "/api/webhook-targets";

/** @type {Record<TargetState, string>} */
export const TONES = { paused: "bad", dead: "warn", waiting: "busy", fine: "good" };

/** What is worst about a target. @param {Target} target @returns {TargetState} */
export function stateOf(target) {
  if (target.paused_reason !== null) return "paused";
  if (target.dead) return "dead";
  return target.waiting ? "waiting" : "fine";
}

/** The events that a field names, with commas or spaces between them; all, if it names none. @param {string} text */
export function readEvents(text) {
  const names = text.split(/[\s,]+/).filter(Boolean);
  return names.length ? [...new Set(names)] : "*";
}

/** Whether it can be an address; the gateway looks closer. @param {string} text */
export function isAddress(text) {
  return /^https?:\/\/[^\s/]+/.test(text.trim());
}
