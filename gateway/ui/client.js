/**
 * The gateway's client for JavaScript: one connection, and the topics that live on it. This page uses it, and so can
 * any other; `client.d.ts` beside it says what one may rely on.
 */

import { Connection } from "./client/connection.js";
import { browser } from "./client/environment.js";
import { StateTopic, StreamTopic } from "./client/subscription.js";
import { Tokens } from "./client/tokens.js";

/** @import { Client, ConnectionState, ConnectOptions, Position, PositionMap, StateHandlers, StreamOptions, Subscription } from "./client.js" */
/** @import { Environment } from "./client/environment.js" */
/** @import { Topic } from "./client/subscription.js" */

const TRY_AGAIN_MS = 2_000;

/** @implements {Client} */
class RealtimeClient {
  /** @type {Set<Topic>} */
  #topics = new Set();
  /** @type {Set<(status: ConnectionState) => void>} */
  #watchers = new Set();
  /** @type {(() => void) | null} */
  #sleep = null;
  #connection;
  #env;

  /** @param {string} url @param {ConnectOptions} options @param {Environment} env */
  constructor(url, options, env) {
    this.#env = env;
    this.#connection = new Connection(
      socketUrl(url),
      new Tokens(options, env.now),
      {
        onWelcome: () => this.#topics.forEach((topic) => topic.join()),
        onFrame: (frame) => this.#receive(frame),
        onLost: () => this.#topics.forEach((topic) => topic.lose()),
        onStatus: (status) => [...this.#watchers].forEach((watcher) => this.#safely(() => watcher(status))),
        onEnd: (code) => options.onEnd?.(code),
        onVersion: (version) => options.onVersion?.(version),
      },
      env,
    );
  }

  get status() {
    return this.#connection.status;
  }

  /** @param {(status: ConnectionState) => void} watcher */
  watch(watcher) {
    this.#watchers.add(watcher);
    watcher(this.status);
    return () => void this.#watchers.delete(watcher);
  }

  /** @param {string | number} inbox @param {StreamOptions} [options] */
  inbox(inbox, { after, ...handlers } = {}) {
    const name = String(inbox);
    return this.#follow(new StreamTopic(`inbox:${name}`, handlers, this.#wire, positionMap(name, after)));
  }

  /** @param {StateHandlers} handlers */
  sessions(handlers) {
    return this.#follow(new StateTopic("sessions", handlers, this.#wire));
  }

  /** @param {string | number} id @param {StateHandlers} handlers */
  session(id, handlers) {
    return this.#follow(new StateTopic(`session:${id}`, handlers, this.#wire));
  }

  /** @param {string | number} inbox @param {string} chat @param {"viewing" | "typing"} doing */
  present(inbox, chat, doing) {
    if (!this.#connection.isWelcomed || !this.#connection.features.includes("presence")) return;
    this.#connection.send({ type: "presence", topic: `inbox:${inbox}`, chat, doing });
  }

  open() {
    this.#sleep ??= this.#env.onWake(() => this.#connection.wake());
    this.#connection.open();
  }

  close() {
    this.#sleep?.();
    this.#sleep = null;
    this.#connection.close();
  }

  // ------------------------------------------------------------------------------------------ topics

  #wire = {
    /** @param {Record<string, unknown>} frame */
    send: (frame) => this.#connection.send(frame),
    /** @param {() => void} run */
    later: (run) => void this.#env.setTimer(run, TRY_AGAIN_MS),
  };

  /** @param {Topic} topic @returns {Subscription} */
  #follow(topic) {
    this.#topics.add(topic);
    if (this.#connection.isWelcomed) topic.join();
    return {
      get position() {
        return topic.position;
      },
      close: () => {
        if (!this.#topics.delete(topic)) return;
        topic.leave([...this.#topics].some((other) => other.name === topic.name));
      },
    };
  }

  /** @param {Record<string, any>} frame */
  #receive(frame) {
    for (const topic of [...this.#topics]) this.#safely(() => topic.receive(frame));
  }

  /** A handler that throws must not keep the frame from the others. @param {() => void} run */
  #safely(run) {
    try {
      run();
    } catch (error) {
      this.#env.report(error);
    }
  }
}

/**
 * @param {string} url
 * @param {ConnectOptions} [options]
 * @param {Environment} [env]  for tests
 * @returns {Client}
 */
function open(url, options = {}, env = browser) {
  const client = new RealtimeClient(url, options, env);
  if (!options.lazy) client.open();
  return client;
}

export const connect = /** @satisfies {typeof import("./client.js").connect} */ (open);

/** `https://shop.example/gateway` → `wss://shop.example/gateway/ws`. @param {string} url */
function socketUrl(url) {
  const address = new URL(url);
  address.protocol = address.protocol.replace(/^http/, "ws");
  const path = address.pathname.replace(/\/+$/, "");
  address.pathname = path.endsWith("/ws") ? path : `${path}/ws`;
  return address.href;
}

/**
 * @param {string} inbox
 * @param {PositionMap | Position | undefined} after
 * @returns {PositionMap | undefined}
 */
function positionMap(inbox, after) {
  if (after === undefined || inbox === "*") return /** @type {PositionMap | undefined} */ (after);
  if (typeof after.off === "number") return { [inbox]: /** @type {Position} */ (after) };
  const own = /** @type {PositionMap} */ (after)[inbox];
  return own ? { [inbox]: own } : {};
}
