/**
 * One look at a linking attempt, as a pure reducer: frames, replies and the clock in, what to show out.
 *
 * The attempt itself runs on the server and does not care who watches. `now` is always the server's time in ms.
 */

/** @import { LinkCode, LinkTrouble, StateFrame } from "../common/types.js" */

/**
 * @typedef {"preparing" | "qr" | "refreshing" | "finishing" | "success" | "expired" | "error"} Phase
 *
 * @typedef {object} LinkView
 * @property {Phase} phase
 * @property {number} since  when the phase began
 * @property {LinkCode | null} code  never shown after its life
 * @property {number} seq  the newest number seen, also after the code is gone
 * @property {string | null} note  `passkey`, `cancelled`, or null
 * @property {string | null} error  the server's sentence
 * @property {string | null} cause  the server's code of the error
 * @property {LinkTrouble | null} trouble  what goes wrong while the attempt goes on
 */

/** Statuses of which we know what they mean for the person at the phone. */
const KNOWN = new Set(["disconnected", "connecting", "need_scan", "qr_ready", "need_passkey", "connected", "logged_out", "expired", "gone"]);

/** After these times the page says that it takes long. */
export const SLOW_PREPARING_MS = 15_000;
export const SLOW_FINISHING_MS = 60_000;

/** @param {number} now @returns {LinkView} */
export function beginLinking(now) {
  return { phase: "preparing", since: now, code: null, seq: 0, note: null, error: null, cause: null, trouble: null };
}

/** @param {LinkView} view @param {Phase} phase @param {number} now @param {Partial<LinkView>} [more] @returns {LinkView} */
function enter(view, phase, now, more = {}) {
  const showsCode = phase === "qr" || phase === "refreshing";
  const isNewEnd = phase === "success" || phase === "expired";
  const since = phase === view.phase ? view.since : now;
  return {
    ...view,
    note: null,
    error: null,
    cause: null,
    trouble: isNewEnd ? null : view.trouble,
    ...more,
    phase,
    since,
    code: showsCode ? (more.code ?? view.code) : null,
  };
}

/** Whether nothing more comes of the attempt: one in trouble goes on. @param {LinkView} view */
export function isOver(view) {
  return view.phase === "success" || view.phase === "expired" || (view.phase === "error" && !view.trouble);
}

/** A code, pushed or pulled, or what a reply says while there is none. @param {LinkView} view @param {LinkCode | null} code @param {number} now */
export function onCode(view, code, now) {
  if (!code || view.phase === "success") return view;
  const taken = takeCode(view, code, now);
  return code.trouble === undefined ? taken : onTrouble(taken, code.trouble, now);
}

/**
 * What goes wrong is told as soon as no code can be scanned any more; a code that still lives stays.
 *
 * @param {LinkView} view @param {LinkTrouble | null} trouble @param {number} now @returns {LinkView}
 */
export function onTrouble(view, trouble, now) {
  if (isOver(view)) return view;
  const told = JSON.stringify(trouble) === JSON.stringify(view.trouble) ? view : { ...view, trouble };
  if (!trouble) return view.trouble && view.phase === "error" ? enter(told, "preparing", now, { trouble: null }) : told;
  if (view.phase === "qr" || view.phase === "finishing") return told;
  if (view.phase === "error" && told === view) return view;
  return enter(told, "error", now, { error: trouble.message, cause: trouble.code });
}

/** @param {LinkView} view @param {LinkCode} code @param {number} now */
function takeCode(view, code, now) {
  if (!code.qr_code) return view;
  if (code.scanned_at) return enter(view, "finishing", now, { seq: Math.max(view.seq, code.seq), note: view.note === "passkey" ? view.note : null });
  const lives = Date.parse(code.expires_at) > now;
  if (code.seq < view.seq || (code.seq === view.seq && view.phase !== "preparing")) return view;
  if (!lives && view.phase === "error") return view;
  return enter(view, lives ? "qr" : "refreshing", now, { code, seq: code.seq });
}

/** @param {LinkView} view @param {{reason?: string, error?: any}} end @param {number} now */
export function onEnd(view, end, now) {
  if (view.phase === "success") return view;
  if (end.reason === "connected") return enter(view, "success", now);
  // A time-out that was an outage carries it: the person is not told that a code expired which never came.
  if (end.reason === "error" || (end.reason === "timeout" && end.error?.code)) {
    const error = typeof end.error === "string" ? end.error : (end.error?.error ?? end.error?.message ?? "");
    return enter(view, "error", now, { error, cause: end.error?.code ?? null, trouble: null });
  }
  return enter(view, "expired", now, { note: end.reason === "cancelled" ? "cancelled" : null });
}

/** @param {LinkView} view @param {string} status  of the session @param {number} now */
export function onStatus(view, status, now) {
  if (view.phase === "success") return view;
  if (status === "connected") return enter(view, "success", now);
  const showedCode = view.phase === "qr" || view.phase === "refreshing";
  // The step that WhatsApp asked for is done: what said so goes.
  const isStepDone = view.phase === "finishing" && view.note === "passkey";
  if (status === "connecting" && (showedCode || isStepDone)) return enter(view, "finishing", now);
  // Not scanned after all, or the step was left: the code on show is asked for again.
  if (status === "need_scan" && view.phase === "finishing") return enter(view, "preparing", now);
  const isNew = status !== "" && !KNOWN.has(status);
  if (isOver(view) || !(isNew || status === "need_passkey")) return view;
  // Under a word that is new the code on show may still be good.
  if (isNew && view.phase === "qr") return { ...view, note: "passkey" };
  return enter(view, "finishing", now, { note: "passkey" });
}

/** A state frame of `session:<id>`. @param {LinkView} view @param {StateFrame} frame @param {number} now */
export function onFrame(view, frame, now) {
  if (frame.part === "session") {
    if (frame.event === "session.deleted") return onEnd(view, { reason: "error", error: { code: "session_not_found" } }, now);
    return onStatus(view, String(frame.data?.status ?? ""), now);
  }
  if (frame.event === "session.qr") return onCode(view, frame.data, now);
  if (frame.event === "session.link_trouble") {
    const seen = frame.data?.scanned_at && !isOver(view) ? enter(view, "finishing", now) : view;
    return onTrouble(seen, frame.data?.trouble ?? null, now);
  }
  if (frame.event === "session.link_ended") return onEnd(view, frame.data ?? {}, now);
  return view;
}

/** A code that has lived is not sharp any more. @param {LinkView} view @param {number} now */
export function onTick(view, now) {
  if (view.phase === "qr" && view.code && Date.parse(view.code.expires_at) <= now) {
    if (view.note === "passkey") return enter(view, "finishing", now, { note: "passkey" });
    return onTrouble(enter(view, "refreshing", now), view.trouble, now);
  }
  return view;
}

/** Whole seconds that the code still lives, never below 0. @param {LinkView} view @param {number} now */
export function secondsLeft(view, now) {
  if (!view.code) return 0;
  const end = Date.parse(view.code.expires_at);
  // Where the clocks are known to half a second only, a code must not seem to live longer than it does.
  const life = end - Date.parse(view.code.issued_at ?? "") || Infinity;
  return Math.ceil(Math.min(life, Math.max(0, end - now)) / 1000);
}

/** The part of its life that the code still has, from 1 to 0. @param {LinkView} view @param {number} now */
export function shareLeft(view, now) {
  if (!view.code) return 0;
  const end = Date.parse(view.code.expires_at);
  const issued = Date.parse(view.code.issued_at ?? "");
  const life = end - (Number.isNaN(issued) ? view.since : issued);
  return life > 0 ? Math.min(1, Math.max(0, (end - now) / life)) : 0;
}
