/** The sessions as they are now: loaded once by REST, kept by state frames; `change` tells who watches. */

/** @import { Rest } from "../common/rest.js" */
/** @import { Client } from "../client.js" */
/** @import { Session, StateFrame } from "../common/types.js" */

export class SessionStore extends EventTarget {
  /** @type {Map<number, Session>} */
  #byId = new Map();
  /** @type {Set<number> | null} sessions that frames spoke of while a list was on its way */
  #touched = null;
  /** @type {"new" | "loading" | "loaded" | "failed"} */
  state = "new";
  #rest;
  #client;
  #subscribed = false;
  /** @type {Promise<void> | null} */
  #loading = null;

  /** @param {Rest} rest @param {Client} client */
  constructor(rest, client) {
    super();
    this.#rest = rest;
    this.#client = client;
  }

  /** In the order they were made. */
  list() {
    return [...this.#byId.values()]
      .filter((session) => session.status !== "gone")
      .sort((a, b) => a.id - b.id);
  }

  /** @param {number} id */
  get(id) {
    return this.#byId.get(id);
  }

  /** @param {number} id @returns {string} */
  nameOf(id) {
    return this.#byId.get(id)?.name ?? String(id);
  }

  /** One of six colours, the same one for the same number. @param {number} id */
  hueOf(id) {
    const at = this.list().findIndex((session) => session.id === id);
    return (at < 0 ? Math.abs(id) : at) % 6;
  }

  /** Reads the list, once however many ask; throws `RestError`. Live from the first call on. */
  load() {
    this.#loading ??= this.#load().finally(() => (this.#loading = null));
    return this.#loading;
  }

  async #load() {
    if (this.state !== "loaded") this.#become("loading");
    this.#subscribe();
    const touched = (this.#touched = new Set());
    try {
      const reply = await this.#rest.get("/api/whatsapp-sessions", { limit: 200 });
      /** @type {Session[]} */
      const sessions = Array.isArray(reply.data) ? reply.data : (reply.data?.sessions ?? []);
      // A frame is newer than a list that was asked for before it.
      const fresh = new Map(sessions.map((session) => [session.id, session]));
      for (const id of this.#byId.keys()) if (!fresh.has(id) && !touched.has(id)) this.#byId.delete(id);
      for (const [id, session] of fresh) if (!touched.has(id)) this.#byId.set(id, session);
      this.#become("loaded");
    } catch (error) {
      if (this.state !== "loaded") this.#become("failed");
      throw error;
    } finally {
      this.#touched = null;
    }
  }

  /** What a reply said about a session, before its frame comes. @param {Session} session */
  put(session) {
    this.#byId.set(session.id, { ...this.#byId.get(session.id), ...session });
    this.#touched?.add(session.id);
    this.#changed();
  }

  /** @param {number} id */
  remove(id) {
    this.#byId.delete(id);
    this.#touched?.add(id);
    this.#changed();
  }

  #subscribe() {
    if (this.#subscribed) return;
    this.#subscribed = true;
    this.#client.sessions({ onState: (frames, snapshot) => this.#onFrames(frames, snapshot) });
  }

  /** @param {StateFrame[]} frames @param {boolean} snapshot */
  #onFrames(frames, snapshot) {
    const spoken = new Set(frames.map((frame) => frame.session_id));
    if (snapshot) {
      // Sessions deleted while we were away are simply not in the snapshot.
      for (const id of [...this.#byId.keys()]) if (!spoken.has(id)) this.#byId.delete(id);
    }
    for (const frame of frames) {
      if (frame.part !== "session") continue;
      this.#touched?.add(frame.session_id);
      if (frame.event === "session.deleted") this.#byId.delete(frame.session_id);
      else
        this.#byId.set(frame.session_id, {
          ...this.#byId.get(frame.session_id),
          ...frame.data,
          id: frame.session_id,
        });
    }
    this.#changed();
  }

  /** @param {"new" | "loading" | "loaded" | "failed"} state */
  #become(state) {
    this.state = state;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
