/** The connection banner: a small mark while all is well, a bar with words and a button when it is not. */

import { el, fill } from "./dom.js";
import { icon } from "./icons.js";
import { t } from "./strings.js";

/** @import { Backend } from "./backend.js" */
/** @import { ConnectionState } from "./types.js" */

/** A reconnect shorter than this is not worth a word. */
const QUIET_MS = 2000;
const BACK_MS = 2000;

/** @param {Backend} backend @param {AbortSignal} [signal]  its end @returns {HTMLElement} */
export function connectionBanner(backend, signal) {
  const words = el("span", {});
  const retry = el(
    "button",
    { type: "button", class: "wa-link", onclick: () => backend.client.open() },
    t("connection.retry"),
  );
  const banner = el(
    "div",
    { class: "wa-banner", role: "status", data: { testid: "connection-banner", state: "reconnecting" } },
    el("span", { class: "wa-dot" }),
    words,
    retry,
  );
  let wasOnline = false;
  let timer = 0;

  /** @param {ConnectionState} state */
  const say = (state) => {
    if (backend.login.isOver) return sayOver();
    const key =
      state === "reconnecting" && !wasOnline
        ? "connection.connecting"
        : /** @type {const} */ (`connection.${state}`);
    fill(words, state === "offline" ? icon("alert") : null, t(key));
    banner.classList.toggle("wa-loud", state !== "online" && (wasOnline || state !== "reconnecting"));
    retry.hidden = state !== "offline" && !(state === "reconnecting" && wasOnline);
  };
  // Without a login nothing is kept up, whatever the socket's last word was.
  const sayOver = () => {
    clearTimeout(timer);
    banner.dataset.state = "offline";
    banner.classList.add("wa-loud");
    retry.hidden = true;
    fill(words, icon("alert"), t("connection.login"));
  };
  backend.addEventListener("login-needed", sayOver, { signal });
  const unwatch = backend.client.watch((state) => {
    if (backend.login.isOver) return sayOver();
    banner.dataset.state = state;
    clearTimeout(timer);
    const wasLoud = banner.classList.contains("wa-loud");
    timer = setTimeout(() => say(state), state === "reconnecting" && wasOnline ? QUIET_MS : 0);
    if (state === "online" && wasOnline && wasLoud) {
      clearTimeout(timer);
      words.textContent = t("connection.back");
      retry.hidden = true;
      timer = setTimeout(() => say(state), BACK_MS);
    }
    if (state === "online") wasOnline = true;
  });
  signal?.addEventListener("abort", () => {
    unwatch();
    clearTimeout(timer);
  });
  return banner;
}
