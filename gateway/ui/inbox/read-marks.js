/** An agent who has a conversation on the screen has read it, for the whole shop, up to what was seen; viewers only look. */

import { RestError } from "../common/rest.js";
import { showFailure } from "../common/toast.js";

/** @import { Conversations } from "./conversations.js" */
/** @import { Thread } from "./thread.js" */
/** @import { Backend } from "../common/backend.js" */
/** @import { LiveElement } from "../common/element.js" */

export class ReadMarks {
  #backend;
  #data;
  #thread;
  #host;
  #refresh;
  /** The conversations that the gateway is being told of: one call at a time for each. @type {Set<string>} */
  #marking = new Set();

  /** @param {Backend} backend @param {Conversations} data @param {Thread} thread @param {LiveElement} host @param {() => void} refresh */
  constructor(backend, data, thread, host, refresh) {
    this.#backend = backend;
    this.#data = data;
    this.#thread = thread;
    this.#host = host;
    this.#refresh = refresh;
  }

  /** Tells the gateway how far the open conversation was seen, if that is news. */
  mark() {
    const key = this.#thread.key;
    const conversation = key && this.#data.get(key);
    if (!key || !conversation || !this.#thread.isVisible || !this.#backend.isAgent || !this.#host.isConnected) return;
    const upTo = this.#thread.seen;
    if (!upTo || (!conversation.unread && !conversation.marked_unread)) return;
    if (this.#marking.has(key)) return;
    this.#marking.add(key);
    this.#data.markRead(key);
    this.#host.redraw();
    const path = `/api/conversations/${encodeURIComponent(conversation.chat)}/read?session=${conversation.session_id}`;
    const body = upTo.epoch ? { up_to: { off: upTo.off, epoch: upTo.epoch } } : {};
    this.#backend.rest
      .post(path, body)
      .catch((error) => {
        this.#refresh();
        if (!(error instanceof RestError && error.code === "conflict")) showFailure(error);
      })
      .finally(() => {
        this.#marking.delete(key);
        if (this.#host.isConnected) this.mark();
      });
  }
}
