/** How long to wait before the next try to reconnect: a pure function, so that it can be tested. */

const STEPS_MS = [1000, 2000, 4000, 8000, 16000, 30000];
const LEAST_MS = 100;

/**
 * Milliseconds before try number `attempt` (from 0). All of the step is left to chance, so that the browsers of a
 * restarted server do not come back in one wave.
 *
 * @param {number} attempt
 * @param {() => number} random  in [0, 1)
 */
export function backoffMs(attempt, random) {
  const step = STEPS_MS[Math.min(Math.max(attempt, 0), STEPS_MS.length - 1)];
  return Math.max(LEAST_MS, Math.round(random() * step));
}

/**
 * Whether a client comes back after the server closed with this code. 4500–4999 mean that coming back would end
 * the same way (bad frame, login over, forbidden, too many); everything else may heal.
 *
 * @param {number} code
 */
export function mayReturn(code) {
  return code < 4500 || code > 4999;
}
