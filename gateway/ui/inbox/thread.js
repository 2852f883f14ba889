/** The right side of the inbox: one conversation with its header, its messages and the reply box. */

import { avatar } from "./conversation-row.js";
import { makeBadge, updateBadge } from "../shared/badge.js";
import { Composer } from "./composer.js";
import { el, fill } from "../shared/dom.js";
import { displayName, formatPhone } from "../shared/format.js";
import { icon } from "../shared/icons.js";
import { MessageLog } from "./message-log.js";
import { Messages } from "./messages.js";
import { RestError } from "../shared/rest.js";
import { t } from "../shared/strings.js";
import { showFailure } from "../shared/toast.js";

/** @import { Backend } from "../shared/backend.js" */
/** @import { Conversation, Message, StreamEvent } from "../shared/types.js" */

const PAGE = 50;

/** A name for a reply before it has a row. `randomUUID` exists on https and localhost only. */
function newClientId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

export class Thread {
  #backend;
  /** @type {Conversation | null} */
  #conversation = null;
  /** @type {Messages | null} */
  #messages = null;
  /** @type {AbortController | null} */
  #loading = null;
  #loadingOlder = false;
  #head = el("header", { class: "wa-thread-head" });
  #badge = makeBadge();
  #notice = el("div", { class: "wa-empty" });
  #log = new MessageLog({ older: () => void this.#loadOlder() });
  #composer;
  #back;

  /** @param {Backend} backend @param {{back: () => void}} actions */
  constructor(backend, { back }) {
    this.#backend = backend;
    this.#back = back;
    this.#composer = new Composer(backend, (text) => void this.#send(text));
    // The inbox has a badge of its own for the number's state; `session-status` means the one in the modal.
    delete this.#badge.dataset.testid;
    this.element = el(
      "section",
      { class: "wa-thread" },
      this.#head,
      this.#notice,
      this.#log.element,
      this.#composer.element,
    );
    this.close();
  }

  get key() {
    return this.#messages?.key ?? null;
  }

  /** Whether somebody can be reading it now. */
  get isVisible() {
    return this.#messages !== null && document.visibilityState === "visible";
  }

  close() {
    this.#loading?.abort();
    this.#conversation = this.#messages = null;
    this.#show("none");
  }

  /** @param {Conversation} conversation */
  async open(conversation) {
    this.#conversation = conversation;
    this.#messages = new Messages(conversation.session_id, conversation.chat);
    this.#log.clear(displayName(conversation));
    this.#showHead();
    await this.#load({ first: true });
  }

  /** After a reset: what is shown may have holes. */
  async reload() {
    if (this.#messages) await this.#load({ first: false });
  }

  /** @param {{first: boolean}} options */
  async #load({ first }) {
    const messages = this.#messages;
    const conversation = this.#conversation;
    if (!messages || !conversation) return;
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    const unread = conversation.unread;
    if (first) this.#show("loading");
    this.#log.setBusy(true);
    messages.beginLoad();
    try {
      const reply = await this.#backend.rest.get(
        this.#path(),
        { session: messages.session, limit: PAGE },
        loading.signal,
      );
      messages.finishLoad(reply.data);
      this.#show(messages.size ? "messages" : "empty");
      if (first) this.#log.begin(messages.list(), unread, this.#look());
      else this.#log.render(messages.list(), this.#look());
      if (this.#log.hasRoom) void this.#loadOlder();
    } catch (error) {
      if (loading.signal.aborted) return;
      if (first) this.#show("failed");
      showFailure(error, { retry: () => void this.#load({ first }) });
    } finally {
      if (this.#loading === loading) requestAnimationFrame(() => this.#log.setBusy(false));
    }
  }

  async #loadOlder() {
    const messages = this.#messages;
    if (!messages?.hasMore || this.#loadingOlder) return;
    this.#loadingOlder = true;
    this.#log.setBusy(true);
    try {
      const query = { session: messages.session, before: messages.before, limit: PAGE };
      const reply = await this.#backend.rest.get(this.#path(), query);
      if (messages !== this.#messages) return;
      messages.prepend(reply.data);
      this.#log.renderOlder(messages.list(), this.#look());
    } catch (error) {
      showFailure(error, { retry: () => void this.#loadOlder() });
    } finally {
      this.#loadingOlder = false;
      requestAnimationFrame(() => this.#log.setBusy(false));
    }
  }

  /** @param {StreamEvent} event */
  apply(event) {
    const messages = this.#messages;
    if (!messages?.apply(event)) return;
    if (messages.size) this.#show("messages");
    const arrived = event.event === "message.created" && event.data.direction === "in";
    this.#log.render(messages.list(), this.#look(), { arrived });
  }

  /** Names, badges and rights may have changed. @param {Conversation | undefined} conversation */
  refresh(conversation) {
    if (!this.#conversation) return;
    this.#conversation = conversation ?? this.#conversation;
    this.#showHead();
  }

  // ------------------------------------------------------------------------------------------ sending

  /** @param {string} text */
  async #send(text) {
    const messages = this.#messages;
    if (!messages) return;
    /** @type {Message} */
    const message = {
      id: "",
      direction: "out",
      session_id: messages.session,
      chat: messages.chat,
      client_id: newClientId(),
      message_text: text,
      message_type: "text",
      status: "queued",
      created_at: new Date(this.#backend.rest.now()).toISOString(),
    };
    const show = () =>
      messages === this.#messages && this.#log.render(messages.list(), this.#look(), { own: true });
    messages.put(message);
    this.#show("messages");
    show();
    try {
      const reply = await this.#backend.rest.post(`${this.#path(messages)}?session=${messages.session}`, {
        text,
        client_id: message.client_id,
      });
      if (reply.data?.id) messages.put(reply.data);
    } catch (error) {
      // Without an answer nobody knows whether the gateway took it: `unknown` must not invite a second send.
      const known = error instanceof RestError && error.status > 0;
      messages.put({ ...message, status: known ? "failed" : "unknown", error: known ? error.message : null });
      showFailure(error);
    }
    show();
  }

  // ------------------------------------------------------------------------------------------ showing

  #path(messages = this.#messages) {
    return `/api/conversations/${encodeURIComponent(messages?.chat ?? "")}/messages`;
  }

  #look() {
    const who = this.#conversation ? displayName(this.#conversation) : "";
    return { zone: this.#backend.zone, now: this.#backend.rest.now(), who };
  }

  #showHead() {
    const conversation = this.#conversation;
    if (!conversation) return;
    const session = this.#backend.sessions.get(conversation.session_id);
    if (session) updateBadge(this.#badge, session, this.#backend.rest.now());
    const connected = session?.status === "connected";
    this.#composer.show(this.key ?? "", connected || !session);
    const name = displayName(conversation);
    const phone = formatPhone(conversation.phone);
    const drawn = JSON.stringify([conversation.chat, name, phone, session?.name, connected]);
    if (this.#head.dataset.drawn === drawn) return;
    this.#head.dataset.drawn = drawn;
    fill(
      this.#head,
      el(
        "button",
        {
          type: "button",
          class: "wa-ghost wa-square wa-back",
          "aria-label": t("common.back"),
          onclick: this.#back,
        },
        icon("back"),
      ),
      avatar(conversation),
      el(
        "div",
        { class: "wa-thread-who" },
        el("h2", { tabindex: "-1" }, el("bdi", {}, name)),
        el(
          "p",
          { class: "wa-hint" },
          phone !== name && el("bdi", { dir: "ltr" }, phone),
          phone !== name && session && el("span", { "aria-hidden": "true" }, "·"),
          session && el("bdi", {}, session.name),
        ),
      ),
      session && !connected && this.#badge,
    );
  }

  /** @param {"none" | "loading" | "failed" | "empty" | "messages"} what */
  #show(what) {
    this.#notice.hidden = what === "messages";
    this.#log.element.hidden = what !== "messages";
    this.#head.hidden = what === "none";
    if (what === "none") this.#composer.element.hidden = true;
    if (this.#notice.dataset.kind === what) return;
    this.#notice.dataset.kind = what;
    if (what === "none")
      fill(this.#notice, icon("chat"), el("h2", {}, t("thread.none")), el("p", {}, t("thread.none.hint")));
    if (what === "loading") fill(this.#notice, icon("spinner"), el("p", {}, t("thread.loading")));
    if (what === "empty") fill(this.#notice, icon("chat"), el("p", {}, t("thread.empty")));
    if (what === "failed") {
      const again = el(
        "button",
        { type: "button", class: "wa-button", onclick: () => void this.#load({ first: true }) },
        t("action.retry"),
      );
      fill(this.#notice, icon("alert"), el("h3", {}, t("thread.error")), again);
    }
  }
}
