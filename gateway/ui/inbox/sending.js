/**
 * What a person does with messages of one thread: send, send again, take back, edit, delete, settle.
 *
 * A bubble stands at once; the answer of the gateway or its event, whichever is first, takes its place under the same
 * `client_id`. Without an answer the text waits here and is handed over again, under the same name, until it has one.
 */

import { keepParcel, dropParcel, messageOf, newClientId, post, waitingParcels } from "./outbox.js";
import { conversationKey, refOf } from "./order.js";
import { confirmed } from "../common/confirm.js";
import { RestError } from "../common/rest.js";
import { t } from "../common/strings.js";
import { showFailure, showToast } from "../common/toast.js";

/** @import { Backend } from "../common/backend.js" */
/** @import { Written } from "./composer.js" */
/** @import { Messages } from "./messages.js" */
/** @import { Parcel } from "./outbox.js" */
/** @import { Message } from "../common/types.js" */

const AGAIN_AFTER_MS = 4000;

/**
 * @typedef {object} SendingHooks
 * @property {() => Messages | null} messages  of the thread that is open
 * @property {(own: boolean) => void} changed
 * @property {(parcel: Parcel, error: RestError) => void} newer  a colleague answered meanwhile
 * @property {(text: string) => void} giveBack
 * @property {Element} place  where questions are asked
 */

export class Sending {
  #backend;
  #hooks;
  /** @type {Set<string>} client ids on their way */
  #posting = new Set();
  /** Of these, what was taken back meanwhile: cancelled as soon as the gateway has it. @type {Set<string>} */
  #unwanted = new Set();
  #isEnded = false;

  /** @param {Backend} backend @param {SendingHooks} hooks */
  constructor(backend, hooks) {
    this.#backend = backend;
    this.#hooks = hooks;
  }

  end() {
    this.#isEnded = true;
  }

  /** @param {Written} written */
  async send(written) {
    const messages = this.#hooks.messages();
    if (!messages) return;
    if (written.edits) return this.#edit(written.edits, written.text);
    const base = {
      reply_to: written.reply_to,
      send_at: written.send_at,
      seen: messages.seen?.epoch ? { off: messages.seen.off, epoch: messages.seen.epoch } : null,
    };
    if (!written.files.length) return void this.#start(messages, { ...base, text: written.text });
    for (const [at, file] of written.files.entries()) {
      try {
        const media = await file.id;
        const preview = { state: "pending", kind: file.kind, name: file.name, preview: null };
        const text = at === 0 && written.text ? written.text : null;
        await this.#start(messages, { ...base, text, media, kind: file.kind, preview });
      } catch (error) {
        if (at === 0) this.#hooks.giveBack(written.text);
        if (error instanceof RestError) showFailure(error);
      }
    }
  }

  /** @param {Messages} messages @param {Record<string, any>} body */
  #start(messages, body) {
    const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
    const parcel = {
      client_id: newClientId(),
      session: messages.session,
      chat: messages.chat,
      at: new Date(this.#backend.rest.now()).toISOString(),
      body: given,
    };
    keepParcel(parcel);
    messages.put(messageOf(parcel));
    this.#hooks.changed(true);
    return this.#hand(parcel);
  }

  /** Sends what a colleague's answer held up. @param {Parcel} parcel */
  sendAnyway(parcel) {
    const messages = this.#hooks.messages();
    const { seen: _seen, ...body } = parcel.body;
    const isHere = messages && messages.key === keyOf(parcel);
    const seen = isHere && messages.seen?.epoch ? { seen: messages.seen } : {};
    const again = { ...parcel, body: { ...body, ...seen } };
    keepParcel(again);
    if (isHere) messages.put(messageOf(again));
    this.#hooks.changed(true);
    void this.#hand(again);
  }

  /** What waits for the gateway goes again: after a reload, and whenever the line is back. */
  resume() {
    for (const parcel of waitingParcels()) void this.#hand(parcel);
  }

  /** Puts what waits into a thread that was just opened. @param {Messages} messages */
  restore(messages) {
    for (const parcel of waitingParcels()) {
      if (keyOf(parcel) === messages.key) messages.put({ ...messageOf(parcel), local: "waiting" });
    }
  }

  /** @param {Parcel} parcel */
  async #hand(parcel) {
    if (this.#posting.has(parcel.client_id) || this.#isEnded) return;
    this.#posting.add(parcel.client_id);
    const { outcome, row, error } = await post(this.#backend, parcel).finally(() =>
      this.#posting.delete(parcel.client_id),
    );
    const messages = this.#hooks.messages();
    const isHere = messages?.key === keyOf(parcel);
    const own = messageOf(parcel);
    if (outcome === "newer" && error) {
      if (isHere) messages.remove(own);
      this.#hooks.newer(parcel, error);
    } else if (isHere && outcome === "taken" && row?.id) messages.put(row);
    else if (isHere && outcome === "refused")
      messages.put({ ...own, status: "failed", error: error?.message ?? null, local: "refused" });
    else if (isHere && outcome === "waiting") messages.put({ ...own, local: "waiting" });
    if (this.#unwanted.delete(parcel.client_id) && row?.id) void this.#call(row, "DELETE");
    if (outcome === "refused" && !isHere && error) showFailure(error);
    if (outcome === "waiting" && !this.#isEnded) setTimeout(() => void this.#hand(parcel), AGAIN_AFTER_MS);
    this.#hooks.changed(false);
  }

  // ------------------------------------------------------------------------------------------ afterwards

  /** @param {Message} message */
  retry(message) {
    if (!message.local) return void this.#call(message, "POST", "/retry");
    const messages = this.#hooks.messages();
    if (!messages) return;
    messages.remove(message);
    const body = { text: message.message_text, reply_to: message.reply_to ?? null };
    void this.#start(messages, body);
  }

  /** Takes a message away that never left. @param {Message} message */
  remove(message) {
    if (message.client_id) dropParcel(message.client_id);
    this.#hooks.messages()?.remove(message);
    this.#hooks.changed(false);
  }

  /** @param {Message} message @param {boolean} sent */
  settle(message, sent) {
    return this.#call(message, "POST", "/settle", { sent });
  }

  /** @param {Message} message */
  cancel(message) {
    const name = message.client_id ?? "";
    if (!message.id && this.#posting.has(name)) return Promise.resolve(void this.#unwanted.add(name));
    if (message.local || !message.id) return Promise.resolve(this.remove(message));
    return this.#call(message, "DELETE");
  }

  /** @param {Message} message */
  async deleteForEveryone(message) {
    if (!(await confirmed(this.#hooks.place, t("message.delete.ask"), t("message.delete")))) return;
    await this.#call(message, "DELETE");
  }

  /** @param {Message} message @param {string} text */
  async #edit(message, text) {
    const done = await this.#call(message, "PUT", "", { text });
    if (!done) this.#hooks.giveBack(text);
  }

  /** @param {Message} message @param {"PUT" | "POST" | "DELETE"} method @param {string} [end] @param {unknown} [body] */
  async #call(message, method, end = "", body) {
    const chat = encodeURIComponent(String(message.chat));
    const path = `/api/conversations/${chat}/messages/${encodeURIComponent(refOf(message))}${end}?session=${message.session_id}`;
    const { rest } = this.#backend;
    try {
      const reply =
        method === "DELETE" ? await rest.delete(path) : method === "PUT" ? await rest.put(path, body) : await rest.post(path, body);
      const messages = this.#hooks.messages();
      if (reply.data?.id && messages?.key === conversationKey(reply.data)) this.#replace(messages, reply.data);
      this.#hooks.changed(false);
      return true;
    } catch (error) {
      if (error instanceof RestError && error.code === "conflict" && method !== "POST") showToast(error.message, { tone: "calm" });
      else showFailure(error, { retry: () => void this.#call(message, method, end, body) });
      return false;
    }
  }

  /** A person's word may take a state back, which reports never do. @param {Messages} messages @param {Message} row */
  #replace(messages, row) {
    messages.remove(row);
    messages.put(row);
  }
}

/** @param {Parcel} parcel */
function keyOf(parcel) {
  return conversationKey({ session_id: parcel.session, chat: parcel.chat });
}
