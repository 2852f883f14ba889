/** What the page's head asks for while the script still comes: the first question for each is answered by that. */

const waiting = new Set(
  [...(globalThis.document?.querySelectorAll('link[rel="preload"][as="fetch"]') ?? [])].map(
    (link) => /** @type {HTMLLinkElement} */ (link).href,
  ),
);

/** When an address that is asked for now was asked for in truth, by this computer's clock. @param {string} address */
export function askedAt(address) {
  // Not before the page itself was: more is not known, and a clock is compared within these bounds.
  return waiting.delete(address) ? Date.now() - performance.now() : Date.now();
}

/** Takes the answers that no question came for, as where the address names a filter: browsers complain of what stays. */
export function takeUnasked() {
  for (const address of waiting) void fetch(address, { cache: "no-store" }).catch(() => {});
  waiting.clear();
}
