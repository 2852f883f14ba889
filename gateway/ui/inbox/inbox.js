/**
 * `<whatsapp-inbox>`: conversations on the left, one thread on the right, moved by events.
 *
 * Attributes: `session` (only this one), `ticket` (login of an embedding page), `routed` (the open conversation is in
 * the address). Fires `message` for each new message and `unread-change`; asks for the session modal by `sessions-wanted`.
 */

import { backend } from "../shared/backend.js";
import { ConversationList } from "./conversation-list.js";
import { Conversations } from "./conversations.js";
import { debounced, fill } from "../shared/dom.js";
import { conversationKey, isShown } from "./order.js";
import { Thread } from "./thread.js";
import { showFailure } from "../shared/toast.js";

/** @import { Query } from "./conversations.js" */
/** @import { Conversation, PositionMap, StreamEvent } from "../shared/types.js" */

const PAGE = 50;
const MAX_PAGE = 200;
const REFRESH_AFTER_MS = 300;
const TIMES_EVERY_MS = 60_000;

export class WhatsAppInbox extends HTMLElement {
  #backend = backend();
  #data = new Conversations();
  #list = new ConversationList(this.#backend, {
    open: (key) => this.#choose(key),
    query: (query) => this.#ask(query),
    more: () => void this.#loadMore(),
    retry: () => void this.#begin(),
    link: () => this.#tell("sessions-wanted", null),
  });
  #thread = new Thread(this.#backend, { back: () => (this.#routed ? history.back() : this.#close()) });
  /** @type {"loading" | "loaded" | "failed"} */
  #state = "loading";
  /** @type {AbortController | null} */
  #loading = null;
  #listening = false;
  #drawing = false;
  #unread = -1;
  #refresh = debounced(() => void this.#load(), REFRESH_AFTER_MS);
  #reloadAll = debounced(() => void Promise.all([this.#load(), this.#thread.reload()]), REFRESH_AFTER_MS);

  connectedCallback() {
    if (this.#list.element.isConnected) return;
    fill(this, this.#list.element, this.#thread.element);
    this.#only(this.getAttribute("session"));
    this.#draw();
    this.#backend.sessions.addEventListener("change", () => this.#draw());
    this.#backend.client.watch(
      (status) => status === "online" && this.#state === "failed" && void this.#begin(),
    );
    document.addEventListener("visibilitychange", () => this.#markRead());
    addEventListener("popstate", () => this.#followAddress());
    setInterval(() => this.#draw(), TIMES_EVERY_MS);
    void this.#begin();
  }

  get #routed() {
    return this.hasAttribute("routed");
  }

  /** Shows one session, or all. @param {string | number | null} id */
  #only(id) {
    this.#data.query.session = id === null || id === "" ? null : Number(id);
  }

  /** Shows the conversations of one session. @param {number} id */
  showSession(id) {
    this.#close();
    this.#ask({ session: this.#backend.sessions.list().length > 1 ? id : null });
  }

  // ------------------------------------------------------------------------------------------ loading

  async #begin() {
    this.#state = "loading";
    this.#draw();
    try {
      await this.#backend.open(this.getAttribute("ticket"));
      void this.#backend.sessions.load().catch(showFailure);
      await this.#load();
      this.#followAddress();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    if (this.#state !== "loaded") this.#state = "failed";
    this.#draw();
    showFailure(error, { retry: () => void (this.#listening ? this.#load() : this.#begin()) });
  }

  /** Reads the newest rows again, as many as are shown. */
  async #load() {
    const limit = Math.min(MAX_PAGE, Math.max(PAGE, this.#data.size));
    await this.#read({ limit, cursor: null });
  }

  async #loadMore() {
    if (!this.#data.nextCursor || this.#loading) return;
    await this.#read({ limit: PAGE, cursor: this.#data.nextCursor });
  }

  /** @param {{limit: number, cursor: string | null}} page */
  async #read({ limit, cursor }) {
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    const { session, filter, search } = this.#data.query;
    this.#data.beginLoad();
    try {
      const reply = await this.#backend.rest.get(
        "/api/conversations",
        { session, filter, search, limit, cursor },
        loading.signal,
      );
      this.#data.finishLoad(reply.data, { append: cursor !== null });
      this.#state = "loaded";
      this.#markRead();
      this.#draw();
      this.#listen(reply.data.position ?? {});
    } catch (error) {
      if (loading.signal.aborted) return; // a newer question replaced this one
      this.#data.abandonLoad();
      this.#fail(error);
    } finally {
      if (this.#loading === loading) this.#loading = null;
    }
  }

  /** @param {Partial<Query>} query */
  #ask(query) {
    Object.assign(this.#data.query, query);
    void this.#load();
  }

  // ------------------------------------------------------------------------------------------ live

  /** Once, from the first list that came. @param {PositionMap} position  where it stands */
  #listen(position) {
    if (this.#listening) return;
    this.#listening = true;
    const own = this.getAttribute("session");
    this.#backend.client.inbox(own || "*", {
      after: position,
      onEvent: (event) => this.#onEvent(event),
      onReset: () => this.#reloadAll(),
    });
  }

  /** @param {StreamEvent} event */
  #onEvent(event) {
    if (event.event === "conversation.updated") return this.#refresh();
    const outcome = this.#data.apply(event);
    this.#thread.apply(event);
    this.#markRead();
    if (outcome === "refresh") this.#refresh();
    if (outcome !== "none") this.#draw();
    if (event.event === "message.created" && isShown(event.data.chat)) this.#tell("message", event.data);
  }

  /** What is on the screen is read, for everybody; viewers only look. */
  #markRead() {
    const key = this.#thread.key;
    const conversation = key && this.#data.get(key);
    if (!conversation || !conversation.unread || !this.#thread.isVisible || !this.#backend.isAgent) return;
    this.#data.markRead(key);
    const path = `/api/conversations/${encodeURIComponent(conversation.chat)}/read?session=${conversation.session_id}`;
    this.#backend.rest.post(path).catch((error) => {
      showFailure(error);
      this.#refresh();
    });
  }

  // ------------------------------------------------------------------------------------------ choosing

  /** @param {string} key */
  #choose(key) {
    if (key === this.#thread.key) return;
    const conversation = this.#data.get(key);
    if (!conversation) return;
    const wasOpen = this.#thread.key !== null;
    this.#open(conversation);
    if (!this.#routed) return;
    const address = `#/${conversation.session_id}/${encodeURIComponent(conversation.chat)}`;
    // One history entry for "a conversation is open", so that Back always leads to the list.
    history[wasOpen ? "replaceState" : "pushState"]({ inbox: true }, "", address);
  }

  /** @param {Conversation} conversation */
  #open(conversation) {
    this.toggleAttribute("data-open", true);
    void this.#thread.open(conversation);
    this.#markRead();
    this.#draw();
  }

  #close() {
    this.toggleAttribute("data-open", false);
    this.#thread.close();
    this.#draw();
    if (this.#routed && location.hash) history.replaceState(null, "", location.pathname);
  }

  #followAddress() {
    if (!this.#routed) return;
    const [, session, chat] = location.hash.match(/^#\/(\d+)\/(.+)$/) ?? [];
    if (!chat) return this.#close();
    const at = { session_id: Number(session), chat: decodeURIComponent(chat) };
    const key = conversationKey(at);
    if (key === this.#thread.key) return;
    const blank = {
      ...at,
      phone: null,
      name: null,
      unread: 0,
      replied: false,
      last_message: null,
      last_at: null,
    };
    this.#open(this.#data.get(key) ?? blank);
  }

  // ------------------------------------------------------------------------------------------ showing

  /** Many events of one moment are drawn once. */
  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    // A hidden tab gets no animation frames, and its title still has to count.
    setTimeout(() => {
      this.#drawing = false;
      const selected = this.#thread.key;
      this.#list.render(this.#data, { selected, state: this.#state });
      this.#thread.refresh(selected ? this.#data.get(selected) : undefined);
      if (this.#data.unread === this.#unread) return;
      this.#unread = this.#data.unread;
      this.#tell("unread-change", { unread: this.#unread });
    }, 0);
  }

  /** @param {string} name @param {unknown} detail */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true, detail }));
  }
}

customElements.define("whatsapp-inbox", WhatsAppInbox);
