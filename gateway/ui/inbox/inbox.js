/**
 * `<whatsapp-inbox>`: conversations on the left, one thread on the right, moved by events.
 *
 * Attributes: `session` (only this number), `conversation` (opens at this chat), `ticket` (login of an embedding page),
 * `routed` (the place is in the address), `lang`, `theme`. Fires `message` for each new message and `unread-change`; asks for
 * the numbers by `sessions-wanted`. Taken off the page it hears nothing, asks nothing and marks nothing as read.
 */

import { ConversationList } from "./conversation-list.js";
import { Conversations } from "./conversations.js";
import { Deeds } from "./deeds.js";
import { conversationKey, isGroup, isShown } from "./order.js";
import { readPlace, writePlace } from "./place.js";
import { Presence } from "./presence.js";
import { ReadMarks } from "./read-marks.js";
import { hitRef } from "./search-hits.js";
import { Thread } from "./thread.js";
import { WaitingPane } from "./waiting-pane.js";
import { backend } from "../common/backend.js";
import { asked } from "../common/confirm.js";
import { debounced, fill } from "../common/dom.js";
import { takeUnasked } from "../common/early.js";
import { LiveElement } from "../common/element.js";
import { toE164 } from "../common/format.js";
import { RestError } from "../common/rest.js";
import { t } from "../common/strings.js";
import { showFailure, showToast } from "../common/toast.js";

/** @import { Query } from "./conversations.js" */
/** @import { Hit } from "./search-hits.js" */
/** @import { Deed } from "./thread-head.js" */
/** @import { Conversation, PositionMap, StreamEvent } from "../common/types.js" */

const PAGE = 50;
const MAX_PAGE = 200;
const REFRESH_AFTER_MS = 400;
const TIMES_EVERY_MS = 20_000;

export class WhatsAppInbox extends LiveElement {
  #backend = backend();
  #data = new Conversations();
  #presence = new Presence(this.#backend);
  #list = new ConversationList(this.#backend, this.#data, this.#presence, {
    open: (key) => this.openKey(key),
    query: (query) => this.#ask(query),
    more: () => void this.#loadMore(),
    retry: () => void this.#start(),
    link: () => this.tell("sessions-wanted"),
    write: () => void this.#writeToNew(),
    openHit: (hit) => this.#openHit(hit),
  });
  #thread = new Thread(this.#backend, this.#presence, {
    back: () => this.#goBack(),
    act: (deed) => void this.act(deed),
    seen: () => this.#marks.mark(),
    link: (session) => this.tell("sessions-wanted", { session_id: session }),
    write: (phone, session) => this.#openChat(session, `${phone}@s.whatsapp.net`),
    search: () => this.focusSearch(),
  });
  #pane = new WaitingPane(this.#backend, this.#data, (key) => this.openKey(key));
  #marks = new ReadMarks(this.#backend, this.#data, this.#thread, this, () => this.#refresh());
  #deeds = new Deeds(this.#backend, this.#data, this, {
    leave: () => this.#close(),
    refresh: () => this.#refresh(),
  });
  /** @type {"loading" | "loaded" | "failed"} */
  #state = "loading";
  /** @type {AbortController | null} */
  #loading = null;
  /** @type {{close: () => void} | null} */
  #stream = null;
  /** @type {Hit[] | null} */
  #hits = null;
  #unread = -1;
  /** Opened from the list, so that Back leads there. */
  #depth = 0;
  #refresh = debounced(() => void this.#load({ refresh: true }), REFRESH_AFTER_MS);

  begin() {
    this.adoptLanguage();
    this.classList.add("wa-inbox");
    fill(this, this.#list, this.#thread, this.#pane.element);
    const own = this.getAttribute("session");
    if (this.#routed) this.#data.query = readPlace(location.hash).query;
    if (own) this.#data.query.session = Number(own);
    this.on(this.#backend.sessions, "change", () => this.redraw());
    this.ends(this.#backend.client.watch((status) => this.#onStatus(status)));
    this.on(this.#backend, "renewed", () => void (this.#state === "loaded" ? this.#load({ refresh: true }) : this.#start()));
    this.on(document, "visibilitychange", () => this.#marks.mark());
    this.on(globalThis, "popstate", () => this.#followAddress());
    this.every(TIMES_EVERY_MS, () => this.redraw());
    this.ends(() => {
      this.#loading?.abort();
      this.#stream?.close();
      this.#stream = null;
      this.#state = "loading";
    });
    void this.#start();
  }

  get #routed() { return this.hasAttribute("routed"); }

  /** @param {import("../common/types.js").ConnectionState} status */
  #onStatus(status) {
    if (status === "online" && this.#state === "failed") void this.#start();
    if ((status === "reconnecting" || status === "offline") && this.#presence.forget()) this.redraw();
  }

  // ------------------------------------------------------------------------------------------ what others may ask

  /** Shows the conversations of one number. @param {number} id */
  showSession(id) {
    this.#close();
    this.#ask({ session: this.#backend.sessions.list().length > 1 ? id : null });
  }

  /** The whole list, with nothing open. */
  showAll() {
    this.#close();
    this.#ask({ session: this.hasAttribute("session") ? this.#data.query.session : null, filter: "all", search: "" });
  }

  /** Opens the conversation with a number or JID. @param {string} phone @param {number | string} [session] */
  openConversation(phone, session) {
    const chat = phone.includes("@") ? phone : `${phone.replace(/\D/g, "")}@s.whatsapp.net`;
    const given = session ?? this.getAttribute("session");
    if (given) return this.#openChat(Number(given), chat);
    const { sessions } = this.#backend;
    const opened = () => {
      const first = sessions.list()[0]?.id;
      if (first === undefined) return;
      sessions.removeEventListener("change", opened);
      this.#openChat(first, chat);
    };
    // A site may ask before the numbers have come.
    sessions.addEventListener("change", opened, { signal: this.signal });
    opened();
  }

  compose = (/** @type {string} */ text) => this.#thread.compose(text);

  /** Whether a message's conversation is open here. @param {import("../common/types.js").Message} message */
  isReading(message) {
    return this.#thread.key === conversationKey(message);
  }

  focusSearch() {
    this.#list.focusSearch();
  }

  focusComposer() {
    this.#thread.focusComposer();
  }

  /** Moves the focus from list to thread to reply box and back. */
  nextPane() {
    const { activeElement: focused } = /** @type {Document | ShadowRoot} */ (this.getRootNode());
    const inside = (/** @type {Element} */ part) => part.contains(focused);
    if (inside(this.#list) && this.#thread.key) this.#thread.focusLog();
    else if (inside(this.#thread) && !focused?.closest("wa-composer")) this.#thread.focusComposer();
    else this.#list.focusRows();
  }

  /** @param {1 | -1} by */
  openNeighbour(by) {
    const key = this.#list.neighbour(by);
    if (key) this.openKey(key);
  }

  /** What can be done with the open conversation. @param {Deed} deed */
  async act(deed) {
    const conversation = this.#thread.key && this.#data.get(this.#thread.key);
    if (conversation) await this.#deeds.act(deed, conversation);
  }

  // ------------------------------------------------------------------------------------------ loading

  async #start() {
    this.#state = "loading";
    this.redraw();
    try {
      const ready = this.#backend.open(this.getAttribute("ticket"));
      // With a cookie nothing has to be known first: all is asked for at once.
      if (this.hasAttribute("ticket") || this.#backend.login.url) await ready;
      void this.#backend.sessions.load().catch((error) => this.isConnected && showFailure(error));
      const chat = this.#routed ? this.#followAddress() : this.#openGiven();
      await Promise.all([ready, this.#load(), chat]);
      if (this.#routed) takeUnasked();
    } catch (error) {
      if (this.isConnected) this.#fail(error);
    }
  }

  #openGiven() {
    const chat = this.getAttribute("conversation");
    if (chat) this.openConversation(chat);
  }

  /** @param {unknown} error */
  #fail(error) {
    if (this.#state !== "loaded") this.#state = "failed";
    this.redraw();
    showFailure(error, { retry: () => void (this.#stream ? this.#load({ refresh: true }) : this.#start()) });
  }

  /** Reads the newest rows. @param {{refresh?: boolean}} [options]  refresh: those shown stay where they are not replaced */
  async #load({ refresh = false } = {}) {
    if (!this.isConnected) return;
    const limit = refresh ? Math.min(MAX_PAGE, Math.max(PAGE, this.#data.size)) : PAGE;
    await this.#read({ limit, cursor: null, refresh });
  }

  async #loadMore() {
    if (!this.#data.nextCursor || this.#loading) return;
    await this.#read({ limit: MAX_PAGE, cursor: this.#data.nextCursor, refresh: false });
  }

  /** @param {{limit: number, cursor: string | null, refresh: boolean}} page */
  async #read({ limit, cursor, refresh }) {
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    const { session, filter, search } = this.#data.query;
    this.#data.beginLoad();
    try {
      // One that follows all inboxes begins at the page's own and at one word for the others.
      const position = this.hasAttribute("session") ? null : "page";
      const query = { session, filter, search, limit, cursor, position };
      const reply = await this.#backend.rest.get("/api/conversations", query, loading.signal);
      if (!this.isConnected) return;
      this.#data.finishLoad(reply.data, { append: cursor !== null, refresh });
      this.#state = "loaded";
      this.#listen(reply.data.position ?? {});
      this.#marks.mark();
      this.redraw();
      if (!refresh && cursor === null) await this.#search(search, session, loading.signal);
    } catch (error) {
      if (loading.signal.aborted) return; // a newer question replaced this one
      this.#data.abandonLoad();
      if (this.isConnected) this.#fail(error);
    } finally {
      if (this.#loading === loading) this.#loading = null;
    }
  }

  /** Messages by their words, beside the conversations. @param {string} wanted @param {number | null} session @param {AbortSignal} signal */
  async #search(wanted, session, signal) {
    this.#hits = null;
    if (!wanted) return;
    try {
      const reply = await this.#backend.rest.get("/api/search", { q: wanted, session, limit: PAGE }, signal);
      this.#hits = reply.data.messages ?? [];
      this.redraw();
    } catch (error) {
      if (!signal.aborted && !(error instanceof RestError && error.status === 404)) throw error;
    }
  }

  /** @param {Partial<Query>} query */
  #ask(query) {
    Object.assign(this.#data.query, query);
    if (query.search === "") this.#hits = null;
    this.#writeAddress(true);
    this.#list.toTop();
    void this.#load();
  }

  // ------------------------------------------------------------------------------------------ live

  /** Once, from the first list that came. @param {PositionMap} position  where it stands */
  #listen(position) {
    if (this.#stream || !this.isConnected) return;
    const own = this.getAttribute("session");
    this.#stream = this.#backend.client.inbox(own || "*", {
      after: position,
      onEvent: (event) => this.#onEvent(event),
      onReset: () => this.#reloadAll(),
      onPresence: (presence) => {
        this.#presence.hear(presence);
        this.#thread.redraw();
        this.redraw();
      },
    });
  }

  #reloadAll = debounced(() => {
    if (!this.isConnected) return;
    showToast(t("connection.resynced"), { tone: "calm" });
    void Promise.all([this.#load({ refresh: true }), this.#thread.reload()]);
  }, REFRESH_AFTER_MS);

  /** @param {StreamEvent} event */
  #onEvent(event) {
    if (event.event === "conversation.updated") return this.#refresh();
    const outcome = this.#data.apply(event);
    this.#thread.apply(event);
    const isNew = event.event === "message.created";
    if (isNew && event.data.direction === "in") this.#marks.mark();
    if (outcome === "refresh") this.#refresh();
    if (outcome !== "none") this.redraw();
    if (isNew && (isShown(event.data.chat) || isGroup(event.data.chat))) this.tell("message", event.data);
  }

  // ------------------------------------------------------------------------------------------ choosing

  /** @param {string} key */
  openKey(key) {
    if (key === this.#thread.key) return this.#thread.focusComposer();
    const conversation = this.#data.get(key);
    if (conversation) this.#choose(conversation, null);
  }

  /** @param {number} session @param {string} chat @param {string | null} [around] */
  #openChat(session, chat, around = null) {
    this.#choose(this.#data.get(conversationKey({ session_id: session, chat })) ?? blank(session, chat), around);
  }

  /** @param {Hit} hit */
  #openHit(hit) {
    const ref = hitRef(hit);
    if (conversationKey(hit) === this.#thread.key) return void this.#thread.jumpTo(ref);
    this.#openChat(hit.session_id, String(hit.chat), ref);
  }

  /** @param {Conversation} conversation @param {string | null} around */
  #choose(conversation, around) {
    void this.#open(conversation, around);
    this.#depth += 1;
    this.#writeAddress(false);
  }

  /** @param {Conversation} conversation @param {string | null} around */
  async #open(conversation, around) {
    this.toggleAttribute("data-open", true);
    const isKnown = this.#data.get(conversationKey(conversation)) !== undefined;
    const opened = this.#thread.open(conversation, { around });
    this.redraw();
    await Promise.all([opened, isKnown ? null : this.#fetch(conversation)]);
    this.#marks.mark();
  }

  /** A conversation that no list has told of is asked for by itself. @param {{session_id: number, chat: string}} at */
  async #fetch({ session_id: session, chat }) {
    const path = `/api/conversations/${encodeURIComponent(chat)}`;
    try {
      const { position, ...conversation } = (await this.#backend.rest.get(path, { session }, this.signal)).data;
      this.#data.put(conversation, position);
      const isOpen = this.#thread.key === conversationKey({ session_id: session, chat });
      // It may be known under another address by now: then it goes on under that one.
      if (isOpen && conversation.chat !== chat) await this.#open(conversation, null);
      else this.redraw();
    } catch (error) {
      if (!this.isConnected || (error instanceof RestError && error.status === 404)) return; // nothing was said in it yet
      showFailure(error);
    }
  }

  async #writeToNew() {
    const sessions = this.#backend.sessions.list();
    const session = this.#data.query.session ?? sessions.find((one) => one.status === "connected")?.id ?? sessions[0]?.id;
    if (session === undefined) return this.tell("sessions-wanted");
    const ask = { title: t("new.title"), label: t("new.phone"), value: "+", type: "tel", submit: t("new.open") };
    const given = await asked(this, ask);
    if (given === null) return;
    const phone = toE164(given);
    if (!phone) return void showToast(t("new.invalid"), { tone: "calm" });
    this.#openChat(session, `${phone.slice(1)}@s.whatsapp.net`);
  }

  #goBack() {
    if (this.#routed && this.#depth > 0) history.back();
    else this.#close();
  }

  #close() {
    this.toggleAttribute("data-open", false);
    this.#thread.close();
    this.#depth = 0;
    this.redraw();
    this.#writeAddress(true);
  }

  /** @param {boolean} inPlace */
  #writeAddress(inPlace) {
    if (!this.#routed) return;
    const [session, ...chat] = (this.#thread.key ?? "").split("|");
    const place = { session: Number(session), chat: chat.length ? chat.join("|") : null, query: this.#data.query };
    const address = location.pathname + location.search + writePlace(place);
    if (address === location.pathname + location.search + location.hash) return;
    history[inPlace ? "replaceState" : "pushState"]({ inbox: this.#depth }, "", address);
  }

  #followAddress() {
    if (!this.#routed) return undefined;
    const { session, chat, around, query } = readPlace(location.hash);
    this.#depth = history.state?.inbox ?? 0;
    const { query: own } = this.#data;
    const isOther = query.filter !== own.filter || query.search !== own.search || query.session !== own.session;
    if (isOther) {
      this.#data.query = query;
      void this.#load();
    }
    if (chat === null || session === null) {
      this.toggleAttribute("data-open", false);
      this.#thread.close();
      this.redraw();
      return undefined;
    }
    const key = conversationKey({ session_id: session, chat });
    if (key === this.#thread.key) return undefined;
    return this.#open(this.#data.get(key) ?? blank(session, chat), around);
  }

  // ------------------------------------------------------------------------------------------ showing

  draw() {
    const selected = this.#thread.key;
    const canBeSeen = this.#thread.isVisible && this.#thread.isAtEnd && this.#backend.isAgent;
    this.#list.show({ selected, state: this.#state, hits: this.#hits, canBeSeen });
    this.#thread.refresh(selected ? this.#data.get(selected) : undefined);
    this.#pane.element.hidden = selected !== null;
    if (selected === null) this.#pane.show();
    if (this.#data.unread === this.#unread) return;
    this.#unread = this.#data.unread;
    this.tell("unread-change", { unread: this.#unread });
  }
}

/** @param {number} session @param {string} chat @returns {Conversation} */
function blank(session, chat) {
  const phone = /^(\d{5,15})@s\.whatsapp\.net$/.exec(chat)?.[1] ?? null;
  return { session_id: session, chat, phone, name: null, unread: 0, replied: false, last_message: null, last_at: null };
}

customElements.define("wa-inbox", WhatsAppInbox);
