/** The status badge of a session: icon, words, colour; the same one in the list, the modal and the inbox. */

import { el, fill } from "./dom.js";
import { icon } from "./icons.js";
import { sessionBadge } from "./states.js";

/** @import { Session } from "./types.js" */

export function makeBadge() {
  return el("span", { class: "wa-badge", data: { testid: "session-status" } });
}

/** @param {HTMLElement} badge @param {Session} session @param {number} now */
export function updateBadge(badge, session, now) {
  const look = sessionBadge(session, now);
  if (badge.dataset.status === session.status && badge.textContent === look.text) return;
  badge.dataset.status = session.status;
  badge.className = `wa-badge wa-tone-${look.tone}`;
  fill(badge, icon(look.icon), el("span", {}, look.text));
}

/** What is being done, before it is. @param {HTMLElement} badge @param {string} text */
export function showPending(badge, text) {
  badge.dataset.status = "";
  badge.className = "wa-badge wa-tone-busy";
  fill(badge, icon("spinner"), el("span", {}, text));
}
