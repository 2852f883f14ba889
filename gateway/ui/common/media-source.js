/** Where the files of messages are fetched from: our own origin, by the cookie, or by short-lived links without one. */

/** @import { Rest } from "./rest.js" */
/** @import { Media } from "./types.js" */

const LINKS_LAST_MS = 9 * 60_000;

export class MediaSource {
  /** @type {Map<string, {url: string, at: number}>} */
  #links = new Map();
  #rest;

  /** @param {Rest} rest */
  constructor(rest) {
    this.#rest = rest;
  }

  /** The address of a stored file. @param {Media} media @param {"thumb" | null} [size] @returns {Promise<string>} */
  async url(media, size = null) {
    const id = String(media.id);
    const path = `/api/media/${encodeURIComponent(id)}`;
    const plain = this.#rest.token ? await this.#link(id) : this.#rest.address(path);
    if (!size) return plain;
    return `${plain}${plain.includes("?") ? "&" : "?"}size=${size}`;
  }

  /** @param {string} id */
  async #link(id) {
    const known = this.#links.get(id);
    if (known && Date.now() - known.at < LINKS_LAST_MS) return known.url;
    const reply = await this.#rest.post("/api/media/links", { ids: [id] });
    const found = reply.data?.links?.[id] ?? reply.data?.[id] ?? reply.data?.links?.[0]?.url ?? "";
    const url = new URL(found, this.#rest.address("/")).href;
    this.#links.set(id, { url, at: Date.now() });
    return url;
  }
}
