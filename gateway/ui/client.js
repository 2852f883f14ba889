/**
 * The protocol client: one WebSocket that comes back by itself, and the subscriptions that live on it.
 *
 * Knows no DOM. Sockets, clock, timers and chance are handed in, so that tests move them.
 *
 * Lifecycle: `start` connects and keeps connecting until `stop`, or until the server says that coming back is of
 * no use (4500–4999); `retry` starts again after that. `wake` is for moments when a try is worth making at once.
 */

import { backoffMs, mayReturn } from "./backoff.js";
import { Subscription } from "./subscription.js";

/** @import { ConnectionState, PositionMap } from "./types.js" */
/** @import { Handlers } from "./subscription.js" */

/**
 * @typedef {object} Environment
 * @property {(url: string) => WebSocket} connect
 * @property {() => number} now  milliseconds
 * @property {() => number} random
 * @property {(run: () => void, ms: number) => any} setTimer
 * @property {(timer: any) => void} clearTimer
 *
 * @typedef {object} Hooks
 * @property {() => string | null} [token]  sent as the first frame where there is no cookie
 * @property {(code: number) => void} [onStop]  the server wants us gone: 4501 login over, 4503 forbidden, …
 * @property {(version: string) => void} [onVersion]  the server was replaced by another version
 */

const WELCOME_WITHIN_MS = 10_000;
const OFFLINE_AFTER_MS = 30_000;
const STEADY_AFTER_MS = 5_000;
const CHECK_EVERY_MS = 5_000;
// The server closes (4009) whom it has not heard for 90 s.
const SPEAK_EVERY_MS = 55_000;
const WAKE_ANSWER_MS = 5_000;

/** @type {Environment} */
const browser = {
  connect: (url) => new WebSocket(url),
  now: () => Date.now(),
  random: () => Math.random(),
  setTimer: (run, ms) => setTimeout(run, ms),
  clearTimer: (timer) => clearTimeout(timer),
};

export class RealtimeClient {
  /** @type {ConnectionState} */
  #status = "reconnecting";
  /** @type {WebSocket | null} */
  #socket = null;
  #running = false;
  #welcomed = false;
  #attempt = 0;
  #lastRef = 0;
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
  /** @type {Set<Subscription>} */
  #subscriptions = new Set();
  /** @type {Set<(status: ConnectionState) => void>} */
  #watchers = new Set();
  #url;
  #hooks;
  #env;

  /** @param {string} url @param {Hooks} [hooks] @param {Environment} [env] */
  constructor(url, hooks = {}, env = browser) {
    this.#url = url;
    this.#hooks = hooks;
    this.#env = env;
  }

  get status() {
    return this.#status;
  }

  /** Calls `watcher` now and at every change. @param {(status: ConnectionState) => void} watcher */
  watch(watcher) {
    this.#watchers.add(watcher);
    watcher(this.#status);
    return () => this.#watchers.delete(watcher);
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    this.#attempt = 0;
    this.#countOffline();
    this.#open();
  }

  stop() {
    this.#running = false;
    this.#drop();
    this.#clear("retry", "offline");
  }

  /** Tries again at once, also after the server sent us away. */
  retry() {
    if (!this.#running) return this.start();
    this.wake();
  }

  /** The network or the tab came back: connect now, or make sure that the open socket still answers. */
  wake() {
    if (!this.#running) return;
    if (!this.#socket) return this.#open();
    if (!this.#welcomed) return;
    this.#send({ type: "ping" });
    const asked = this.#env.now();
    this.#set("wake", WAKE_ANSWER_MS, () => {
      if (this.#heardAt < asked) this.#reopen();
    });
  }

  /** Renews the login of the open connection in place. @param {string} token */
  authenticate(token) {
    if (this.#welcomed) this.#send({ type: "auth", token });
  }

  /**
   * @param {string} topic
   * @param {Handlers} handlers
   * @param {PositionMap} [after]  where loaded data stands; without it a stream starts from now
   */
  subscribe(topic, handlers, after) {
    const subscription = new Subscription(topic, handlers, { send: (frame) => this.#send(frame), after });
    this.#subscriptions.add(subscription);
    if (this.#welcomed) subscription.join();
    return {
      get position() {
        return subscription.position;
      },
      close: () => {
        if (!this.#subscriptions.delete(subscription)) return;
        subscription.leave([...this.#subscriptions].some((other) => other.topic === topic));
      },
    };
  }

  // ------------------------------------------------------------------------------------------ the socket

  #open() {
    this.#clear("retry");
    this.#returnAt = null;
    const socket = this.#env.connect(this.#url);
    this.#socket = socket;
    socket.onopen = () => {
      const token = this.#hooks.token?.();
      if (token) this.#send({ type: "auth", token });
    };
    socket.onmessage = (message) => this.#receive(message.data);
    socket.onclose = (closing) => this.#closed(closing.code);
    this.#set("welcome", WELCOME_WITHIN_MS, () => {
      this.#drop();
      this.#lost();
    });
  }

  /** Leaves the socket without waiting for it: a dead peer would let a closing handshake hang for minutes. */
  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#welcomed = false;
    this.#clear("welcome", "check", "wake", "drain");
    for (const subscription of this.#subscriptions) subscription.lose();
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  #reopen() {
    this.#drop();
    this.#countOffline();
    this.#open();
  }

  /** @param {number} code */
  #closed(code) {
    this.#drop();
    if (mayReturn(code)) return this.#lost();
    this.#running = false;
    this.#clear("retry", "offline");
    this.#become("offline");
    this.#hooks.onStop?.(code);
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
    this.#set("retry", delay, () => this.#open());
  }

  #countOffline() {
    if (this.#status !== "offline") this.#become("reconnecting");
    if (this.#timers.has("offline")) return;
    this.#set("offline", OFFLINE_AFTER_MS, () => this.#become("offline"));
  }

  // ------------------------------------------------------------------------------------------ frames

  /** @param {Record<string, unknown>} frame @returns {string} the ref it was sent with */
  #send(frame) {
    const ref = String(++this.#lastRef);
    this.#sentAt = this.#env.now();
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify({ ...frame, ref }));
    return ref;
  }

  /** @param {unknown} text */
  #receive(text) {
    this.#heardAt = this.#env.now();
    let frame;
    try {
      frame = JSON.parse(String(text));
    } catch {
      return; // not ours to understand; the stream's offsets show whether something is missing
    }
    if (frame.type === "welcome") this.#onWelcome(frame);
    else if (frame.type === "stale") this.#become("stale");
    else if (frame.type === "fresh") this.#become("online");
    else if (frame.type === "drain") this.#onDrain(frame.reconnect_after_ms ?? 0);
    else for (const subscription of [...this.#subscriptions]) subscription.receive(frame);
  }

  /** @param {any} frame */
  #onWelcome(frame) {
    this.#clear("welcome", "offline");
    this.#welcomed = true;
    this.#welcomedAt = this.#env.now();
    this.#heartbeatMs = (frame.heartbeat_s ?? 25) * 1000;
    if (this.#version !== null && frame.version !== this.#version) this.#hooks.onVersion?.(frame.version);
    this.#version = frame.version ?? null;
    this.#become("online");
    for (const subscription of this.#subscriptions) subscription.join();
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
    if (overdue || now - this.#sentAt > SPEAK_EVERY_MS) this.#send({ type: "ping" });
    this.#set("check", CHECK_EVERY_MS, () => this.#check());
  }

  // ------------------------------------------------------------------------------------------ small parts

  /** @param {ConnectionState} status */
  #become(status) {
    if (status === this.#status) return;
    this.#status = status;
    for (const watcher of [...this.#watchers]) watcher(status);
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
