/** Where one is in the inbox, as the address says it: conversation, message, filter, number, search. */

/** @import { Query } from "./conversations.js" */

/**
 * @typedef {object} Whereabouts
 * @property {number | null} session  of the open conversation
 * @property {string | null} chat
 * @property {string | null} around  a message in it
 * @property {Query} query
 */

const FILTERS = new Set(["all", "unread", "unreplied", "mine", "free", "groups", "done"]);

/** @param {string} hash  `#/12/4915…@s.whatsapp.net?filter=unread&number=12&q=sugar` @returns {Whereabouts} */
export function readPlace(hash) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?");
  const given = new URLSearchParams(search);
  const [, session, chat] = /^(-?\d+)\/(.+)$/.exec(path) ?? [];
  const filter = given.get("filter") ?? "all";
  const number = /^\d+$/.test(given.get("number") ?? "") ? Number(given.get("number")) : null;
  return {
    session: chat ? Number(session) : null,
    chat: chat ? decoded(chat) : null,
    around: given.get("at"),
    query: {
      session: number,
      filter: /** @type {Query["filter"]} */ (FILTERS.has(filter) ? filter : "all"),
      search: given.get("q") ?? "",
    },
  };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {{session: number | null, chat: string | null, query: Query}} place */
export function writePlace({ session, chat, query }) {
  const search = new URLSearchParams();
  if (query.filter !== "all") search.set("filter", query.filter);
  if (query.session !== null) search.set("number", String(query.session));
  if (query.search) search.set("q", query.search);
  const path = chat === null ? "" : `${session}/${encodeURIComponent(chat)}`;
  const tail = search.size ? `?${search}` : "";
  return path || tail ? `#/${path}${tail}` : "";
}
