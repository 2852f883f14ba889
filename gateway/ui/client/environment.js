/** What a connection needs of its surroundings, so that tests can move time and cut lines. */

/**
 * @typedef {object} Environment
 * @property {(url: string) => WebSocket} connect
 * @property {() => number} now  milliseconds
 * @property {() => number} random
 * @property {(run: () => void, ms: number) => any} setTimer
 * @property {(timer: any) => void} clearTimer
 * @property {(run: () => void) => () => void} onWake
 *   calls `run` when the network or the tab comes back; returns a function that ends this
 * @property {(error: unknown) => void} report  a handler threw
 */

/** @type {Environment} */
export const browser = {
  connect: (url) => new WebSocket(url),
  now: () => Date.now(),
  random: () => Math.random(),
  setTimer: (run, ms) => setTimeout(run, ms),
  clearTimer: (timer) => clearTimeout(timer),
  onWake,
  report: (error) => {
    // As if nobody had caught it: the page's own error handling hears of it.
    setTimeout(() => {
      throw error;
    });
  },
};

/** @param {() => void} run */
function onWake(run) {
  // Neither is there in a worker or in node.
  const tab = globalThis.document;
  const onVisible = () => tab.visibilityState === "visible" && run();
  globalThis.addEventListener?.("online", run);
  tab?.addEventListener("visibilitychange", onVisible);
  return () => {
    globalThis.removeEventListener?.("online", run);
    tab?.removeEventListener("visibilitychange", onVisible);
  };
}
