/** The right side of the inbox: one conversation with its header, its messages and the reply box. */

import { Composer } from "./composer.js";
import { MessageLog } from "./message-log.js";
import { Messages } from "./messages.js";
import { newerReply } from "./newer-reply.js";
import { conversationKey, isGroup, messageKey } from "./order.js";
import { OwnPresence } from "./presence.js";
import { QueueLine } from "./queue-line.js";
import { Sending } from "./sending.js";
import { ThreadHead } from "./thread-head.js";
import { messageActions } from "./message-menu.js";
import { showViewer } from "./viewer.js";
import { senderName } from "./bubble.js";
import { el, fill } from "../common/dom.js";
import { LiveElement } from "../common/element.js";
import { displayName, formatPhone } from "../common/format.js";
import { icon } from "../common/icons.js";
import { RestError } from "../common/rest.js";
import { t } from "../common/strings.js";
import { showFailure } from "../common/toast.js";

/** @import { Place } from "./message-log.js" */
/** @import { Presence } from "./presence.js" */
/** @import { Deed } from "./thread-head.js" */
/** @import { Backend } from "../common/backend.js" */
/** @import { Conversation, Message, SendingState, StreamEvent } from "../common/types.js" */

const PAGE = 50;
const MOST_A_PAGE = 200;
const MOST_UNREAD_LOADED = 1000;
const QUEUED_SHOWN = new Set(["queued"]);

/**
 * @typedef {object} ThreadActions
 * @property {() => void} back
 * @property {(deed: Deed) => void} act
 * @property {() => void} seen  the newest message is on the screen
 * @property {(session: number) => void} link
 * @property {(phone: string, session: number) => void} write
 * @property {() => void} search
 */

export class Thread extends LiveElement {
  #backend;
  #presence;
  #actions;
  /** @type {Conversation | null} */
  #conversation = null;
  /** @type {Messages | null} */
  #messages = null;
  /** @type {AbortController | null} */
  #loading = null;
  #isGrowing = false;
  /** Where each conversation was left. @type {Map<string, Place>} */
  #places = new Map();
  /** @type {SendingState | null} */
  #sendingState = null;
  /** @type {{close: () => void} | null} */
  #sendingTopic = null;
  #notice = el("div", { class: "wa-empty" });
  #banner = el("p", { class: "wa-thread-banner", hidden: true });
  #question = el("div", { class: "wa-question-place" });
  #head;
  #log;
  #composer;
  #queue;
  #sending;
  #own;

  /** @param {Backend} backend @param {Presence} presence @param {ThreadActions} actions */
  constructor(backend, presence, actions) {
    super();
    this.#backend = backend;
    this.#presence = presence;
    this.#actions = actions;
    this.#own = new OwnPresence(backend);
    this.#head = new ThreadHead(backend, actions);
    this.#composer = new Composer(backend, {
      send: (written) => void this.#sending.send(written),
      typing: () => this.#own.typing(),
    });
    this.#sending = new Sending(backend, {
      messages: () => this.#messages,
      changed: (own) => this.#changed(own),
      newer: (parcel, error) => this.#askNewer(parcel, error),
      giveBack: (text) => this.#composer.giveBack(text),
      place: this,
    });
    this.#queue = new QueueLine(() => this.#cancelNewest());
    this.#log = new MessageLog({
      ...messageActions(this, backend, this.#sending, {
        answer: (message) => this.#composer.answer(message, this.#writer(message)),
        edit: (message) => this.#composer.edit(message),
      }),
      jump: (ref) => void this.jumpTo(ref),
      view: (message) => this.#view(message),
      write: (phone) => this.#messages && actions.write(phone, this.#messages.session),
      older: () => void this.#grow("before"),
      newer: () => void this.#grow("after"),
      newest: () => void this.#load({ unread: 0, place: null }),
      atEnd: () => this.#actions.seen(),
    });
  }

  begin() {
    this.className = "wa-thread";
    this.setAttribute("role", "region");
    const bottom = el("div", { class: "wa-thread-bottom" }, this.#question, this.#queue.element, this.#composer);
    this.replaceChildren(this.#head.element, this.#banner, this.#notice, this.#log, bottom);
    this.on(this, "dragover", (event) => this.#onDrag(event));
    this.on(this, "dragleave", () => this.classList.remove("wa-dropping"));
    this.on(this, "drop", (event) => this.#onDrop(event));
    this.ends(() => this.#leave());
    this.ends(() => this.#sending.end());
    this.#show("none");
    this.#sending.resume();
  }

  get key() {
    return this.#messages?.key ?? null;
  }

  get session() {
    return this.#messages?.session ?? null;
  }

  /** Up to where everything has been seen here, if the newest is on the screen. */
  get seen() {
    return this.#messages && !this.#messages.hasAfter && this.#log.isAtEnd ? this.#messages.seen : undefined;
  }

  /** Whether somebody can be reading it now. */
  get isVisible() {
    return this.#messages !== null && document.visibilityState === "visible";
  }

  get isAtEnd() {
    return this.#log.isAtEnd;
  }

  close() {
    this.#leave();
    this.#conversation = this.#messages = null;
    this.#log.clear();
    this.#show("none");
  }

  #leave() {
    const place = this.#messages && this.#log.place;
    if (this.#messages && place) this.#places.set(this.#messages.key, place);
    else if (this.#messages) this.#places.delete(this.#messages.key);
    this.#loading?.abort();
    this.#own.at(null);
    this.#sendingTopic?.close();
    this.#sendingTopic = this.#sendingState = null;
    fill(this.#question);
  }

  /** @param {Conversation} conversation @param {{around?: string | null}} [where] */
  async open(conversation, { around = null } = {}) {
    this.#leave();
    const { session_id: session, chat } = conversation;
    this.#conversation = conversation;
    const messages = new Messages(session, chat);
    this.#messages = messages;
    this.#log.clear();
    this.#own.at({ session, chat });
    this.#follow(session);
    this.#show("loading");
    this.#dress();
    const place = around ? null : (this.#places.get(messages.key) ?? null);
    const isCoarse = matchMedia("(pointer: coarse)").matches;
    if (isCoarse) this.#head.focus();
    else this.#composer.focusInput();
    await this.#load({ unread: conversation.unread, place, around: around ?? place?.key ?? null });
    if (around && this.#messages === messages) await this.jumpTo(around);
  }

  /** @param {number} session */
  #follow(session) {
    this.#sendingTopic = this.#backend.client.session(session, {
      onState: (frames) => {
        for (const frame of frames) if (frame.part === "sending") this.#sendingState = frame.data;
        this.redraw();
      },
    });
  }

  /** After a reset: what is shown may have holes. */
  async reload() {
    if (this.#messages) await this.#load({ unread: 0, place: this.#log.place, around: this.#log.place?.key ?? null });
  }

  // ------------------------------------------------------------------------------------------ loading

  /** @param {{unread: number, place: Place | null, around?: string | null}} where */
  async #load({ unread, place, around = null }) {
    const messages = this.#messages;
    if (!messages) return;
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    const ref = around && /^(in|out):(?!c:)/.test(around) ? around : null;
    const limit = ref ? PAGE : Math.min(MOST_A_PAGE, Math.max(PAGE, unread + 20));
    messages.beginLoad();
    try {
      const path = this.#path(messages);
      const { session } = messages;
      const read = (/** @type {string | null} */ at) =>
        this.#backend.rest.get(path, { session, limit, around: at }, loading.signal);
      // Where it was left may be gone by now: then the newest are as good.
      const reply = await (ref ? read(ref).catch((error) => (place ? read(null) : Promise.reject(error))) : read(null));
      messages.finishLoad(reply.data);
      if (!ref) await this.#loadUnread(messages, unread, loading.signal);
      this.#sending.restore(messages);
      if (messages !== this.#messages) return;
      this.#show(messages.size ? "messages" : "empty");
      const isThere = place && messages.get(place.key);
      this.#log.open(messages, this.#look(), { unread: ref ? 0 : unread, place: isThere ? place : null });
      this.redraw();
      if (this.#log.isAtEnd) this.#actions.seen();
      this.#log.grown();
    } catch (error) {
      if (loading.signal.aborted) return;
      messages.abandonLoad();
      if (error instanceof RestError && error.status === 404) return this.#show("empty");
      if (!messages.size) this.#show("failed");
      showFailure(error, { retry: () => void this.#load({ unread, place, around }) });
    }
  }

  /** The first unread message is to be there, with what stands between. @param {Messages} messages @param {number} unread @param {AbortSignal} signal */
  async #loadUnread(messages, unread, signal) {
    if (unread > MOST_UNREAD_LOADED) return;
    const incoming = () => messages.list().filter((message) => message.direction === "in" && !message.deleted_at).length;
    while (messages.hasBefore && incoming() < unread) {
      const query = { session: messages.session, before: messages.before, limit: MOST_A_PAGE };
      const reply = await this.#backend.rest.get(this.#path(messages), query, signal);
      messages.prepend(reply.data);
    }
  }

  /** @param {"before" | "after"} side */
  async #grow(side) {
    const messages = this.#messages;
    if (!messages || this.#isGrowing || !(side === "before" ? messages.hasBefore : messages.hasAfter)) return;
    this.#isGrowing = true;
    try {
      const query = { session: messages.session, [side]: messages[side], limit: PAGE };
      const reply = await this.#backend.rest.get(this.#path(messages), query, this.signal);
      if (messages !== this.#messages) return;
      if (side === "before") messages.prepend(reply.data);
      else messages.append(reply.data);
      this.#isGrowing = false;
      this.#log.grown();
    } catch (error) {
      if (!this.signal.aborted && messages === this.#messages) showFailure(error, { retry: () => void this.#grow(side) });
    } finally {
      this.#isGrowing = false;
    }
  }

  /** Shows one message, loading the thread around it where it is not here. @param {string} ref */
  async jumpTo(ref) {
    const messages = this.#messages;
    if (!messages) return;
    if (!messages.byRef(ref)) await this.#load({ unread: 0, place: null, around: ref });
    const found = messages === this.#messages ? messages.byRef(ref) : undefined;
    if (found) this.#log.jumpTo(messageKey(found));
  }

  /** @param {StreamEvent} event */
  apply(event) {
    const messages = this.#messages;
    if (!messages) return;
    const outcome = messages.apply(event);
    if (outcome === "none") return;
    const hasArrived = event.event === "message.created" && event.data.direction === "in";
    if (hasArrived) this.#log.arrived(1);
    if (outcome === "changed") this.#changed(false);
  }

  /** @param {boolean} own */
  #changed(own) {
    const messages = this.#messages;
    if (!messages) return;
    if (messages.size) this.#show("messages");
    else if (this.#notice.dataset.kind === "messages") this.#show("empty");
    if (own) this.#log.toEnd();
    else this.#log.redraw();
    this.redraw();
  }

  /** Names, marks and rights may have changed. @param {Conversation | undefined} conversation */
  refresh(conversation) {
    if (!this.#conversation) return;
    this.#conversation = conversation ?? this.#conversation;
    this.redraw();
  }

  // ------------------------------------------------------------------------------------------ questions

  /** @param {import("./outbox.js").Parcel} parcel @param {RestError} error */
  #askNewer(parcel, error) {
    /** @type {Message[]} */
    const unseen = error.details?.messages ?? [];
    const isHere = this.key === conversationKey({ session_id: parcel.session, chat: parcel.chat });
    const text = String(parcel.body.text ?? "");
    if (!isHere) return;
    fill(
      this.#question,
      newerReply(unseen, text, this.#backend.zone, {
        send: () => this.#sending.sendAnyway(parcel),
        keep: () => this.#composer.giveBack(text),
      }),
    );
    this.#question.querySelector("button")?.focus();
    this.#changed(false);
  }

  #cancelNewest() {
    const newest = this.#waiting().at(-1);
    if (newest) void this.#sending.cancel(newest);
  }

  #waiting() {
    const now = this.#backend.rest.now();
    const list = this.#messages?.list() ?? [];
    return list.slice(-MOST_A_PAGE).filter((message) => {
      if (message.direction !== "out" || !QUEUED_SHOWN.has(message.status ?? "") || message.local) return false;
      return !message.send_after || Date.parse(message.send_after) - now < 15 * 60_000;
    });
  }

  /** @param {Message} message */
  #view(message) {
    showViewer(this, this.#messages?.list() ?? [message], message, {
      source: (media) => this.#backend.media.url(media),
      zone: this.#backend.zone,
      caption: (one) => this.#writer(one),
    });
  }

  /** @param {Message} message */
  #writer(message) {
    if (message.direction === "out") return t("thread.you");
    const conversation = this.#conversation;
    return isGroup(message.chat) || !conversation ? senderName(message) : displayName(conversation);
  }

  /** @param {DragEvent} event */
  #onDrag(event) {
    if (!event.dataTransfer?.types.includes("Files") || !this.#backend.canSend) return;
    event.preventDefault();
    this.classList.add("wa-dropping");
  }

  /** @param {DragEvent} event */
  #onDrop(event) {
    this.classList.remove("wa-dropping");
    if (!event.dataTransfer?.files.length || !this.#messages) return;
    event.preventDefault();
    this.#composer.add(event.dataTransfer.files);
  }

  focusComposer() {
    this.#composer.focusInput();
  }

  /** A text for a person to look at and send; one that is being written stays. @param {string} text */
  compose(text) {
    this.#composer.giveBack(text);
  }

  focusLog() {
    this.#log.focusLog();
  }

  // ------------------------------------------------------------------------------------------ showing

  #path(/** @type {Messages} */ messages) {
    return `/api/conversations/${encodeURIComponent(messages.chat)}/messages`;
  }

  /** @returns {import("./bubble.js").Look} */
  #look() {
    const conversation = /** @type {Conversation} */ (this.#conversation);
    return {
      zone: this.#backend.zone,
      now: () => this.#backend.rest.now(),
      who: displayName(conversation),
      isGroup: isGroup(conversation.chat),
      canWrite: this.#backend.canSend,
      find: (ref) => this.#messages?.byRef(ref),
    };
  }

  draw() {
    if (this.#conversation) this.#dress();
  }

  #dress() {
    const conversation = this.#conversation;
    const messages = this.#messages;
    if (!conversation || !messages) return;
    this.setAttribute("aria-label", displayName(conversation));
    this.#head.show(conversation, this.#presence.of(messages.key));
    this.#log.dress(this.#look());
    const session = this.#backend.sessions.get(conversation.session_id);
    const isLinked = !session || session.status === "connected";
    const mode = !this.#backend.isAgent ? "viewer" : !this.#backend.me?.can_send ? "off" : session?.status === "gone" ? "gone" : "on";
    const hints = { viewer: "", off: t("composer.off"), gone: t("composer.gone"), on: isLinked ? "" : t("composer.not_connected") };
    this.#composer.show({
      key: messages.key,
      name: displayName(conversation),
      number: formatPhone(conversation.phone),
      session: messages.session,
      mode,
      hint: hints[mode],
      fix: mode === "on" && !isLinked ? () => this.#actions.link(conversation.session_id) : null,
    });
    this.#queue.show(this.#waiting().length, this.#sendingState, {
      isSlow: session?.account_protection === true,
      zone: this.#backend.zone,
    });
    const banner = conversation.blocked
      ? t("thread.blocked", { name: displayName(conversation) })
      : conversation.done
        ? t("thread.is_done")
        : "";
    this.#banner.hidden = !banner;
    this.#banner.textContent = banner;
  }

  /** @param {"none" | "loading" | "failed" | "empty" | "messages"} what */
  #show(what) {
    this.dataset.state = what;
    this.#notice.hidden = what === "messages";
    this.#log.hidden = what !== "messages";
    this.#head.element.hidden = what === "none";
    this.#composer.parentElement?.toggleAttribute("hidden", what === "none");
    if (what === "none") this.#banner.hidden = true;
    if (this.#notice.dataset.kind === what) return;
    this.#notice.dataset.kind = what;
    if (what === "none") fill(this.#notice);
    if (what === "loading") fill(this.#notice, icon("spinner"), el("p", {}, t("thread.loading")));
    if (what === "empty")
      fill(this.#notice, icon("chat"), el("h3", {}, t("thread.empty")), this.#backend.canSend && el("p", {}, t("thread.empty.hint")));
    if (what === "failed") {
      const retry = () => void this.#load({ unread: this.#conversation?.unread ?? 0, place: null });
      const again = el("button", { type: "button", class: "wa-button", onclick: retry }, t("action.retry"));
      fill(this.#notice, icon("alert"), el("h3", {}, t("thread.error")), again);
    }
  }
}

customElements.define("wa-thread", Thread);
