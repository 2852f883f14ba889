/**
 * One WebSocket that comes back by itself. Knows no topics and no DOM; sockets, clock, timers and chance are handed in.
 *
 * Lifecycle: `open` connects and keeps connecting until `close`, or until the server says that coming back is of no
 * use (4500–4999); `open` starts again after that. `wake` is for moments when a try is worth making at once.
 */

import { backoffMs, mayReturn } from "./backoff.js";

/** @import { ConnectionState } from "../client.js" */
/** @import { Environment } from "./environment.js" */
/** @import { Tokens } from "./tokens.js" */

/**
 * @typedef {object} Listeners
 * @property {() => void} onWelcome
 * @property {(frame: Record<string, any>) => void} onFrame
 * @property {() => void} onLost  what was said on the socket is forgotten
 * @property {(status: ConnectionState) => void} onStatus
 * @property {(code: number) => void} onEnd
 * @property {(version: string) => void} onVersion
 */

const WELCOME_WITHIN_MS = 10_000;
const OFFLINE_AFTER_MS = 30_000;
const STEADY_AFTER_MS = 5_000;
const CHECK_EVERY_MS = 5_000;
// The server closes (4009) whom it has not heard for 90 s.
const SPEAK_EVERY_MS = 55_000;
const WAKE_ANSWER_MS = 5_000;
const UNAUTHORISED = 4501;

export class Connection {
  /** @type {ConnectionState} */
  status = "reconnecting";
  isWelcomed = false;
  /** What the server can do besides, as its welcome named it. @type {string[]} */
  features = [];
  /** @type {WebSocket | null} */
  #socket = null;
  #running = false;
  #attempt = 0;
  /** Counts tries, so that an answer which comes after its try was given up is dropped. */
  #try = 0;
  #isTrying = false;
  #wasRefused = false;
  #lastRef = 0;
  #authRef = "";
  #heartbeatMs = 25_000;
  #heardAt = 0;
  #sentAt = 0;
  #welcomedAt = 0;
  /** When the server asked us to come back after a drain. @type {number | null} */
  #returnAt = null;
  /** @type {string | null} */
  #version = null;
  /** @type {Map<string, any>} one timer per purpose */
  #timers = new Map();
  #url;
  #tokens;
  #listeners;
  #env;

  /** @param {string} url @param {Tokens} tokens @param {Listeners} listeners @param {Environment} env */
  constructor(url, tokens, listeners, env) {
    this.#url = url;
    this.#tokens = tokens;
    this.#listeners = listeners;
    this.#env = env;
  }

  /** Connects; if it does so already, tries at once. */
  open() {
    if (this.#running) return this.wake();
    this.#running = true;
    this.#attempt = 0;
    this.#wasRefused = false;
    this.#countOffline();
    this.#begin();
  }

  close() {
    this.#running = false;
    this.#drop();
    this.#clear("retry", "offline");
  }

  /** The network or the tab came back: connect now, or make sure that the open socket still answers. */
  wake() {
    if (!this.#running) return;
    if (!this.#socket && !this.#isTrying) return this.#begin();
    if (!this.isWelcomed) return;
    this.send({ type: "ping" });
    const asked = this.#env.now();
    this.#set("wake", WAKE_ANSWER_MS, () => {
      if (this.#heardAt < asked) this.#reopen();
    });
  }

  /** @param {Record<string, unknown>} frame @returns {string} the ref it was sent with */
  send(frame) {
    const ref = String(++this.#lastRef);
    this.#sentAt = this.#env.now();
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify({ ...frame, ref }));
    return ref;
  }

  // ------------------------------------------------------------------------------------------ the socket

  #begin() {
    this.#clear("retry");
    this.#returnAt = null;
    const number = ++this.#try;
    this.#isTrying = true;
    this.#set("welcome", WELCOME_WITHIN_MS, () => {
      this.#drop();
      this.#lost();
    });
    if (this.#tokens.isCookie) return this.#dial(this.#url, null);
    this.#tokens.show().then(
      ({ ticket, token }) => {
        if (number === this.#try)
          this.#dial(ticket === null ? this.#url : withTicket(this.#url, ticket), token);
      },
      () => {
        if (number !== this.#try) return;
        this.#drop();
        this.#lost();
      },
    );
  }

  /** @param {string} url @param {string | null} token */
  #dial(url, token) {
    this.#isTrying = false;
    const socket = this.#env.connect(url);
    this.#socket = socket;
    socket.onopen = () => {
      if (token !== null) this.send({ type: "auth", token });
    };
    socket.onmessage = (message) => this.#receive(message.data);
    socket.onclose = (closing) => this.#closed(closing.code);
  }

  /** Leaves the socket without waiting for it: a dead peer would let a closing handshake hang for minutes. */
  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#try += 1;
    this.#isTrying = this.isWelcomed = false;
    this.#authRef = "";
    this.#clear("welcome", "check", "wake", "drain");
    this.#listeners.onLost();
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  #reopen() {
    this.#drop();
    this.#countOffline();
    this.#begin();
  }

  /** @param {number} code */
  #closed(code) {
    this.#drop();
    if (mayReturn(code)) return this.#lost();
    // Once per login: it may have expired on the way, and its source may have a new one.
    if (code === UNAUTHORISED && this.#tokens.canRenew && !this.#wasRefused) {
      this.#wasRefused = true;
      this.#tokens.forget();
      return this.#reopen();
    }
    this.#running = false;
    this.#clear("retry", "offline");
    this.#become("offline");
    this.#listeners.onEnd(code);
  }

  #lost() {
    if (!this.#running) return;
    const now = this.#env.now();
    if (this.#welcomedAt && now - this.#welcomedAt >= STEADY_AFTER_MS) this.#attempt = 0;
    this.#welcomedAt = 0;
    // A server that drains says when to return, so that its browsers come back spread over time.
    const asked = this.#returnAt === null ? null : Math.max(0, this.#returnAt - now);
    const delay = asked ?? backoffMs(this.#attempt, this.#env.random);
    this.#attempt += 1;
    this.#returnAt = null;
    this.#countOffline();
    this.#set("retry", delay, () => this.#begin());
  }

  #countOffline() {
    if (this.status !== "offline") this.#become("reconnecting");
    if (this.#timers.has("offline")) return;
    this.#set("offline", OFFLINE_AFTER_MS, () => this.#become("offline"));
  }

  // ------------------------------------------------------------------------------------------ frames

  /** @param {unknown} text */
  #receive(text) {
    this.#heardAt = this.#env.now();
    const frame = parsed(text);
    if (frame === null) return;
    if (frame.type === "welcome") this.#onWelcome(frame);
    else if (frame.type === "stale") this.#become("stale");
    else if (frame.type === "fresh") this.#become("online");
    else if (frame.type === "drain") this.#onDrain(frame.reconnect_after_ms ?? 0);
    else if (frame.type === "error" && frame.ref && frame.ref === this.#authRef) this.#tokens.postpone();
    else this.#listeners.onFrame(frame);
  }

  /** @param {Record<string, any>} frame */
  #onWelcome(frame) {
    this.#clear("welcome", "offline");
    this.isWelcomed = true;
    this.#wasRefused = false;
    this.#welcomedAt = this.#env.now();
    this.features = Array.isArray(frame.features) ? frame.features : Object.keys(frame.features ?? {});
    this.#heartbeatMs = (frame.heartbeat_s ?? 25) * 1000;
    if (this.#version !== null && frame.version !== this.#version) this.#listeners.onVersion(frame.version);
    this.#version = frame.version ?? null;
    this.#become("online");
    this.#listeners.onWelcome();
    this.#set("check", CHECK_EVERY_MS, () => this.#check());
  }

  /** @param {number} ms */
  #onDrain(ms) {
    this.#returnAt = this.#env.now() + ms;
    this.#set("drain", ms, () => this.#reopen());
  }

  /** Silence is a dead line after two heartbeats; and a client that never speaks is closed by the server. */
  #check() {
    const now = this.#env.now();
    if (now - this.#heardAt > 2 * this.#heartbeatMs) return this.#reopen();
    const overdue = now - this.#heardAt > 1.2 * this.#heartbeatMs;
    if (overdue || now - this.#sentAt > SPEAK_EVERY_MS) this.send({ type: "ping" });
    if (this.#tokens.isDue) this.#renew();
    this.#set("check", CHECK_EVERY_MS, () => this.#check());
  }

  /** A new token for the open connection, before the old one expires. */
  #renew() {
    const number = this.#try;
    this.#tokens.renew().then(
      (token) => {
        if (token !== null && number === this.#try) this.#authRef = this.send({ type: "auth", token });
      },
      () => this.#tokens.postpone(), // its source may have a bad moment; the server's clock decides in the end
    );
  }

  // ------------------------------------------------------------------------------------------ small parts

  /** @param {ConnectionState} status */
  #become(status) {
    if (status === this.status) return;
    this.status = status;
    this.#listeners.onStatus(status);
  }

  /** @param {string} purpose @param {number} ms @param {() => void} run */
  #set(purpose, ms, run) {
    this.#clear(purpose);
    const timer = this.#env.setTimer(() => {
      this.#timers.delete(purpose);
      run();
    }, ms);
    this.#timers.set(purpose, timer);
  }

  /** @param {string[]} purposes */
  #clear(...purposes) {
    for (const purpose of purposes) {
      this.#env.clearTimer(this.#timers.get(purpose));
      this.#timers.delete(purpose);
    }
  }
}

/** @param {string} url @param {string} ticket */
function withTicket(url, ticket) {
  return `${url}${url.includes("?") ? "&" : "?"}ticket=${encodeURIComponent(ticket)}`;
}

/**
 * One JSON object, or null for what is not ours to understand: offsets show whether something is missing.
 *
 * @param {unknown} text
 * @returns {Record<string, any> | null}
 */
function parsed(text) {
  try {
    const frame = JSON.parse(String(text));
    return frame !== null && typeof frame === "object" && !Array.isArray(frame) ? frame : null;
  } catch {
    return null;
  }
}
