/** Why linking did not work, told as what it is: a sentence, what helps, and the words of the wire for whom they help. */

/** @import { TextKey } from "../common/strings.js" */
/** @import { LinkView } from "./linking.js" */

/**
 * @typedef {object} Trouble
 * @property {TextKey} title
 * @property {TextKey} hint  what happens next, or what to do
 * @property {"retry" | "list" | null} action
 * @property {string} details
 */

/** @type {Record<string, Omit<Trouble, "details">>} */
const KNOWN = {
  network: { title: "trouble.network", hint: "trouble.network.hint", action: "retry" },
  unavailable: { title: "trouble.unavailable", hint: "trouble.unavailable.hint", action: "retry" },
  forbidden: { title: "trouble.forbidden", hint: "trouble.forbidden.hint", action: "list" },
  not_found: { title: "trouble.gone", hint: "trouble.gone.hint", action: "list" },
  session_not_found: { title: "trouble.gone", hint: "trouble.gone.hint", action: "list" },
  config: { title: "trouble.no_token", hint: "trouble.token.hint", action: "retry" },
  upstream_unauthorized: { title: "trouble.token", hint: "trouble.token.hint", action: "retry" },
  upstream_limit: { title: "trouble.limit", hint: "trouble.limit.hint", action: "retry" },
  rate_limited: { title: "trouble.rate", hint: "trouble.rate.hint", action: "retry" },
  invalid: { title: "trouble.refused", hint: "trouble.refused.hint", action: "retry" },
  upstream_error: { title: "trouble.upstream", hint: "trouble.upstream.hint", action: "retry" },
  upstream_timeout: { title: "trouble.upstream", hint: "trouble.upstream.hint", action: "retry" },
};

/** @type {Omit<Trouble, "details">} */
const OTHER = { title: "link.error", hint: "trouble.other.hint", action: "retry" };

/** @param {Pick<LinkView, "cause" | "error">} view @returns {Trouble} */
export function troubleOf({ cause, error }) {
  const known = cause && Object.hasOwn(KNOWN, cause) ? KNOWN[cause] : OTHER;
  const details = [error, cause && `(${cause})`].filter(Boolean).join(" ");
  return { ...known, details };
}
