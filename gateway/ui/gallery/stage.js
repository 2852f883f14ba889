/** A backend that answers from fixtures, and a clock that stands still: what the gallery's elements are made with. */

import { Backend } from "../common/backend.js";
import { Rest, RestError } from "../common/rest.js";
import { incoming, LOG, DEAD_LETTERS, LOGINS, ME, NOW, PERSONS, picture, SESSIONS, TARGETS, TEMPLATES, TOTALS } from "./fixtures.js";
import { FAILED, FINDINGS, TROUBLE } from "./operations.js";

/** @import { Client, StateFrame, StateHandlers } from "../client.js" */
/** @import { ConnectionState, Conversation, Me, Message, Person, Session, SendingState } from "../common/types.js" */

/** Lets a customer write, as the stream tells it. @type {(n: number) => void} */
let emit = () => {};

/** Tells what becomes of an attempt to link. @type {() => void} */
let tellLink = () => {};

/** @param {number} n */
export function letCustomerWrite(n) {
  emit(n);
}

/**
 * @typedef {object} Scene  what a state of the gallery is made of
 * @property {Conversation[]} [list]
 * @property {Message[]} [thread]
 * @property {Partial<Me>} [me]
 * @property {Session[]} [sessions]
 * @property {ConnectionState} [connection]
 * @property {Person[]} [people]  in the open conversation
 * @property {SendingState} [sending]
 * @property {"never" | "fails"} [answers]
 * @property {string} [never]  the path that is never answered
 * @property {Message[]} [newer]  what a send is refused with
 * @property {Message[]} [hits]
 * @property {typeof TOTALS | null} [totals]
 * @property {typeof PERSONS} [persons]  who may log in
 * @property {Pick<StateFrame, "part" | "event" | "data">[]} [link]  what comes after `connect`
 * @property {string} [linkFails]  the code of error with which `connect` is refused
 * @property {typeof TEMPLATES} [templates]
 * @property {typeof TARGETS} [targets]  who is sent webhooks
 * @property {boolean} [refused]  this login may not manage people
 * @property {import("../admin/admin-rows.js").Overview} [overview]  how the gateways are
 */

class StageRest extends Rest {
  #scene;

  /** @param {Scene} scene */
  constructor(scene) {
    super(import.meta.url.slice(0, import.meta.url.lastIndexOf("/ui/")));
    this.#scene = scene;
  }

  now() {
    return NOW;
  }

  /** @param {string} path @param {Record<string, any>} [query] @returns {Promise<any>} */
  async get(path, query = {}) {
    const scene = this.#scene;
    if (path === "/api/me") return { data: { ...ME, ...scene.me } };
    if (path === scene.never) return new Promise(() => {});
    if (path.endsWith("/logs")) return { data: LOG, next_cursor: null };
    if (query.reveal) return { data: { api_key: "wsk_8f2c41d07ab94e55b7d3e1c6", webhook_secret: "whs_c07d5e9a1b2f4860" } };
    if (path === "/api/whatsapp-sessions") return { data: scene.sessions ?? SESSIONS };
    if (path === "/api/templates") return { data: scene.templates ?? TEMPLATES };
    const managed = ["/api/people", "/api/webhook-targets", "/api/admin/overview"];
    if (scene.refused && managed.includes(path)) throw new RestError("This needs an administrator.", { status: 403, code: "forbidden", action: null });
    if (scene.answers === "never") return new Promise(() => {});
    if (scene.answers === "fails") throw new RestError("The gateway cannot be reached.", { status: 503 });
    if (path === "/api/webhook-targets") return { data: scene.targets ?? TARGETS };
    if (path.endsWith("/deliveries")) return { data: DEAD_LETTERS, next_cursor: null };
    if (path === "/api/people") return { data: scene.persons ?? PERSONS };
    if (path === "/api/admin/overview") return { data: scene.overview ?? TROUBLE };
    if (path === "/api/journal") return { data: FAILED };
    if (path === "/api/account/logins") return { data: LOGINS };
    if (path === "/api/search") return { data: { messages: scene.hits ?? [] } };
    if (path === "/api/conversations") {
      const wanted = String(query.search ?? "").toLowerCase();
      const conversations = (scene.list ?? []).filter((one) => (one.name ?? "").toLowerCase().includes(wanted));
      return { data: { conversations, next_cursor: null, position: {}, totals: scene.totals === undefined ? TOTALS : scene.totals } };
    }
    if (path.endsWith("/messages"))
      return { data: { messages: scene.thread ?? [], has_before: false, has_after: false, position: {} } };
    return { data: (scene.list ?? []).find((one) => path.endsWith(encodeURIComponent(one.chat))) };
  }

  /** @param {string} path @returns {Promise<any>} */
  async post(path) {
    const { newer, linkFails } = this.#scene;
    if (path.endsWith("/connect") && linkFails) throw new RestError("WasenderAPI answered 401: Unauthenticated.", { status: 502, code: linkFails });
    if (path === "/api/admin/doctor") return { data: FINDINGS };
    if (path.endsWith("/connect")) queueMicrotask(() => tellLink());
    if (path.endsWith("/login-link")) return { data: { path: "/login?ticket=Vb2k9mQ7xT1oYdR4pZcN8sLwEa6HgJuF0iK3vMtB5yU", expires_in_s: 3600 } };
    if (newer && path.includes("/messages"))
      throw new RestError("A colleague answered.", { status: 409, code: "newer_reply", action: null, details: { messages: newer } });
    if (path.includes("/messages")) return new Promise(() => {});
    return { data: {} };
  }

  async put() {
    return { data: {} };
  }
}

/** @param {Scene} scene @returns {Client} */
function stageClient({ connection = "online", people = [], sending, list = [], link = [] }) {
  const nothing = { position: {}, close: () => {} };
  return {
    status: connection,
    watch(watcher) {
      watcher("online");
      if (connection !== "online") watcher(connection);
      return () => {};
    },
    inbox(_inbox, options = {}) {
      emit = (n) => {
        const data = incoming(new Date(NOW + n).toISOString(), `news ${n}`);
        options.onEvent?.({ inbox: "1", off: n + 1, epoch: null, event: "message.created", data });
      };
      const first = list[0];
      if (first && people.length) options.onPresence?.({ inbox: String(first.session_id), chat: first.chat, who: people });
      return nothing;
    },
    sessions: () => nothing,
    session(id, /** @type {StateHandlers} */ handlers) {
      const frame = { topic: `session:${id}`, session_id: Number(id), part: /** @type {"sending"} */ ("sending"), version: 1, event: "session.sending", data: sending };
      const numbered = link.map((one, at) => ({ ...frame, version: at + 2, ...one }));
      tellLink = () => handlers.onState?.(numbered, false);
      queueMicrotask(() => handlers.onState?.(sending ? [frame] : [], true));
      return nothing;
    },
    present() {},
    open() {},
    close() {},
  };
}

/** @param {Scene} scene */
export function stageBackend(scene) {
  const made = new Backend({ rest: new StageRest(scene), client: stageClient(scene) });
  made.media.url = async (media) => (media.kind === "audio" ? "data:audio/ogg;base64," : picture("#e6c79a", "#6b3f25", 1280, 822));
  return made;
}
