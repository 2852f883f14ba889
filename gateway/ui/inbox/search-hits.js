/** Messages whose words were looked for; a click opens the thread around one. */

import { marked } from "./conversation-row.js";
import { el, fill } from "../common/dom.js";
import { displayName, listTime } from "../common/format.js";
import { previewOf } from "../common/states.js";
import { t } from "../common/strings.js";
import { messageTime } from "./order.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { Message } from "../common/types.js" */

/** @typedef {Message & {name?: string | null, ref?: string, at?: string}} Hit  its `id` may be its ref */

const BEFORE = 30;

/** The row of a hit, as `around` takes it. @param {Hit} hit */
export function hitRef(hit) {
  if (hit.ref) return hit.ref;
  return /^(in|out):/.test(hit.id) ? hit.id : `${hit.direction}:${hit.id}`;
}

export class SearchHits {
  element = el("section", { class: "wa-hits", hidden: true });
  #backend;
  #open;
  /** @type {Hit[] | null} */
  #shown = null;

  /** @param {Backend} backend @param {(hit: Hit) => void} open */
  constructor(backend, open) {
    this.#backend = backend;
    this.#open = open;
  }

  /** @param {Hit[] | null} hits @param {string} wanted */
  show(hits, wanted) {
    this.element.hidden = !hits?.length;
    if (hits === this.#shown) return;
    this.#shown = hits;
    fill(
      this.element,
      el("h2", {}, t("list.messages")),
      ...(hits ?? []).map((hit) =>
        el(
          "button",
          { type: "button", class: "wa-hit", data: { testid: "search-hit", ref: hitRef(hit) }, onclick: () => this.#open(hit) },
          el("bdi", { class: "wa-hit-name" }, displayName(hit)),
          el("time", {}, listTime(messageTime(hit) || Date.parse(hit.at ?? ""), this.#backend.rest.now(), this.#backend.zone)),
          el("bdi", { class: "wa-hit-text" }, ...marked(snippet(previewOf(hit), wanted), wanted)),
        ),
      ),
    );
  }
}

/** The part of a text around what was looked for. @param {string} text @param {string} wanted */
function snippet(text, wanted) {
  const at = text.toLocaleLowerCase().indexOf(wanted.toLocaleLowerCase());
  return at > BEFORE ? `…${text.slice(at - BEFORE)}` : text;
}
