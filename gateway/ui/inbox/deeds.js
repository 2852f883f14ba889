/** What an agent does with a whole conversation: the page shows it at once, and takes it back if the gateway refuses it. */

import { conversationKey } from "./order.js";
import { asked, confirmed } from "../common/confirm.js";
import { displayName } from "../common/format.js";
import { RestError } from "../common/rest.js";
import { t } from "../common/strings.js";
import { showFailure, showToast } from "../common/toast.js";

/** @import { Conversations } from "./conversations.js" */
/** @import { Deed } from "./thread-head.js" */
/** @import { Backend } from "../common/backend.js" */
/** @import { LiveElement } from "../common/element.js" */
/** @import { Conversation } from "../common/types.js" */

/** @typedef {{body: Record<string, unknown>, local: Partial<Conversation>}} Change  what is asked for, and what it looks like */
/** @typedef {{leave: () => void, refresh: () => void}} DeedActions  closes the conversation; reads the list again */

export class Deeds {
  #backend;
  #data;
  #host;
  #actions;

  /** @param {Backend} backend @param {Conversations} data @param {LiveElement} host @param {DeedActions} actions */
  constructor(backend, data, host, actions) {
    this.#backend = backend;
    this.#data = data;
    this.#host = host;
    this.#actions = actions;
  }

  /** Does it, unless the user only views or thinks better of it. @param {Deed} deed @param {Conversation} conversation */
  async act(deed, conversation) {
    if (!this.#backend.isAgent) return;
    const change = await this.#changeOf(deed, conversation);
    if (!change) return;
    const key = conversationKey(conversation);
    const before = { ...conversation };
    this.#data.change(key, change.local);
    this.#host.redraw();
    if (deed === "mark_unread") this.#actions.leave();
    const path = `/api/conversations/${encodeURIComponent(conversation.chat)}?session=${conversation.session_id}`;
    try {
      const reply = await this.#backend.rest.put(path, change.body);
      if (reply.data?.chat) this.#data.put({ ...this.#data.get(key), ...reply.data });
      this.#actions.refresh();
    } catch (error) {
      this.#data.change(key, before);
      if (error instanceof RestError && error.code === "conflict") showToast(error.message, { tone: "calm" });
      else showFailure(error, { retry: () => void this.act(deed, this.#data.get(key) ?? before) });
    }
    this.#host.redraw();
  }

  /** @param {Deed} deed @param {Conversation} conversation @returns {Promise<Change | null>} */
  async #changeOf(deed, conversation) {
    const me = this.#backend.me;
    const name = displayName(conversation);
    switch (deed) {
      case "take":
        return { body: { owner: me?.sub }, local: { owner: me?.sub ?? null, owner_name: me?.name ?? null } };
      case "give_back":
        return { body: { owner: null }, local: { owner: null, owner_name: null } };
      case "done":
        return { body: { done: true }, local: { done: true } };
      case "reopen":
        return { body: { done: false }, local: { done: false } };
      case "mark_unread":
        return { body: { unread: true }, local: { marked_unread: true } };
      case "block":
        if (!(await confirmed(this.#host, t("thread.block.ask", { name }), t("thread.block")))) return null;
        return { body: { blocked: true }, local: { blocked: true } };
      case "unblock":
        return { body: { blocked: false }, local: { blocked: false } };
      case "rename": {
        const ask = { title: t("thread.rename"), label: t("thread.rename.label"), value: conversation.name ?? "", submit: t("common.save") };
        const given = await asked(this.#host, ask);
        return given ? { body: { name: given }, local: { name: given } } : null;
      }
    }
  }
}
