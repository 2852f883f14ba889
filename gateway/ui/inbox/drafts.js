/** What was being written, by conversation; kept over a reload. */

import { keep, recall } from "../common/memory.js";

/** @typedef {{text: string, reply_to?: string | null}} Draft */

const MOST = 200;

/** @type {Map<string, Draft>} */
const drafts = new Map(recall("drafts", /** @type {[string, Draft][]} */ ([])));

/** @param {string} key @returns {Draft} */
export function draftOf(key) {
  return drafts.get(key) ?? { text: "" };
}

/** @param {string} key @param {Draft} draft */
export function keepDraft(key, draft) {
  drafts.delete(key);
  if (draft.text.trim() || draft.reply_to) drafts.set(key, draft);
  const kept = [...drafts].slice(-MOST);
  keep("drafts", kept.length ? kept : undefined);
}
