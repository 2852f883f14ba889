/**
 * One topic as one client hears it: resumes where it stood, drops doubles, notices gaps, keeps the newest state.
 *
 * Phases: idle (no socket) → joining (subscribe sent, replay may come) → live. On a gap: live → leaving → joining.
 * `leaving` lasts until the server confirms, so that events already on their way are not taken for the replay.
 */

import { Positions } from "./positions.js";

/** @import { PositionMap, StateFrame, StreamEvent } from "./types.js" */

/**
 * @typedef {object} Handlers
 * @property {(event: StreamEvent) => void} [onEvent]  each committed change once, in the order of its inbox
 * @property {(inbox: string, reason: string) => void} [onReset]  what was loaded is of no use: load again
 * @property {(frames: StateFrame[], snapshot: boolean) => void} [onState]
 *   a snapshot is the whole value of the topic; what is not in it is not there any more
 * @property {() => void} [onReady]  everything up to now has been handed on
 * @property {(code: string, message: string) => void} [onError]  the server refused the topic
 */

export class Subscription {
  /** @type {"idle" | "joining" | "live" | "leaving" | "refused"} */
  #phase = "idle";
  #ref = "";
  #positions;
  #resume;
  /** @type {Map<string, number>} newest version by session and part */
  #versions = new Map();
  /** @type {Handlers} */
  #handlers;
  #send;

  /**
   * @param {string} topic
   * @param {Handlers} handlers
   * @param {{send: (frame: Record<string, unknown>) => string, after?: PositionMap}} options
   *   `send` adds a ref, sends the frame and returns the ref; `after` starts a stream at a loaded position
   */
  constructor(topic, handlers, { send, after }) {
    this.topic = topic;
    this.#handlers = handlers;
    this.#send = send;
    this.#positions = new Positions(after);
    this.#resume = after !== undefined;
  }

  get phase() {
    return this.#phase;
  }

  /** The positions as `after` would name them. */
  get position() {
    return this.#positions.wire();
  }

  /** Asks for the topic on a fresh connection. */
  join() {
    /** @type {Record<string, unknown>} */
    const frame = { type: "subscribe", topic: this.topic };
    if (this.topic.startsWith("inbox:") && this.#resume) {
      const after = this.#positions.wire();
      const own = this.topic.slice("inbox:".length);
      // A single inbox whose epoch is unknown cannot be resumed by position; all inboxes can (see Positions).
      if (own === "*") frame.after = after;
      else if (after[own]) frame.after = after[own];
    }
    this.#phase = "joining";
    this.#ref = this.#send(frame);
  }

  /** The socket is gone. Positions stay. */
  lose() {
    this.#phase = "idle";
  }

  /** @param {boolean} shared  somebody else on this connection still wants the topic */
  leave(shared) {
    if (this.#phase !== "idle" && !shared) this.#send({ type: "unsubscribe", topic: this.topic });
    this.#phase = "idle";
    this.#handlers = {};
  }

  /** @param {string} topic */
  #covers(topic) {
    return topic === this.topic || (this.topic === "inbox:*" && topic.startsWith("inbox:"));
  }

  /** @param {any} frame  any frame of the server; those of others are ignored */
  receive(frame) {
    switch (frame.type) {
      case "event":
        if (this.#covers(frame.topic)) this.#onEvent(frame);
        break;
      case "state":
        if (frame.topic === this.topic) this.#onState(frame);
        break;
      case "reset":
        if (this.#covers(frame.topic)) this.#onReset(frame);
        break;
      case "heartbeat":
        this.#compare(frame.tops ?? {});
        break;
      case "subscribed":
        if (frame.ref === this.#ref && this.#phase === "joining") this.#onSubscribed(frame);
        break;
      case "unsubscribed":
        if (frame.ref === this.#ref && this.#phase === "leaving") this.join();
        break;
      case "error":
        if (frame.ref === this.#ref && frame.ref) this.#onError(frame);
        break;
      default:
    }
  }

  /** @param {any} frame */
  #onEvent(frame) {
    if (this.#phase !== "joining" && this.#phase !== "live") return;
    const inbox = String(frame.topic).slice("inbox:".length);
    const verdict = this.#positions.judge(inbox, frame.off);
    if (verdict === "double") return;
    if (verdict === "gap" || (verdict === "first" && frame.off !== 1)) {
      // Live: something was lost on the way, the server has it. In a replay there is nothing left to ask for,
      // except that the first event of an inbox we do not know may be any (older ones are past retention).
      if (this.#phase === "live") return this.#rejoin();
      if (verdict === "gap") this.#handlers.onReset?.(inbox, "gap");
    }
    this.#positions.advance(inbox, frame.off);
    this.#resume = true;
    const { event, off, at, data } = frame;
    const epoch = this.#positions.get(inbox)?.epoch ?? null;
    this.#handlers.onEvent?.({ inbox, off, epoch, event, at, data });
  }

  /** @param {any} frame */
  #onReset(frame) {
    const inbox = String(frame.topic).slice("inbox:".length);
    this.#positions.set(inbox, { off: frame.off, epoch: frame.epoch ?? null });
    this.#resume = true;
    this.#handlers.onReset?.(inbox, frame.reason);
  }

  /** @param {any} frame */
  #onSubscribed(frame) {
    this.#phase = "live";
    if (frame.state) {
      this.#versions.clear();
      for (const state of frame.state) this.#versions.set(`${state.session_id}/${state.part}`, state.version);
      this.#handlers.onState?.(frame.state, true);
    }
    const own = this.topic.slice("inbox:".length);
    const tops =
      frame.tops ?? (typeof frame.off === "number" ? { [own]: { off: frame.off, epoch: frame.epoch } } : {});
    for (const [inbox, top] of Object.entries(tops)) this.#settle(inbox, top);
    if (this.topic.startsWith("inbox:")) this.#resume = true;
    this.#handlers.onReady?.();
  }

  /**
   * The replay is over: where it ended must be where we stand.
   *
   * @param {string} inbox
   * @param {{off: number, epoch: string}} top
   */
  #settle(inbox, top) {
    const here = this.#positions.get(inbox);
    if (here && here.epoch === top.epoch && here.off >= top.off) return;
    this.#positions.set(inbox, top);
    const arrived = !here || (here.epoch === null && here.off === top.off);
    if (!arrived) this.#handlers.onReset?.(inbox, "gap");
  }

  /** @param {Record<string, number>} tops  the newest offset of each inbox that moved */
  #compare(tops) {
    if (this.#phase !== "live") return;
    for (const [topic, off] of Object.entries(tops)) {
      if (!this.#covers(topic)) continue;
      if ((this.#positions.get(topic.slice("inbox:".length))?.off ?? 0) < off) return this.#rejoin();
    }
  }

  #rejoin() {
    this.#phase = "leaving";
    this.#ref = this.#send({ type: "unsubscribe", topic: this.topic });
  }

  /** @param {StateFrame} frame */
  #onState(frame) {
    const key = `${frame.session_id}/${frame.part}`;
    if (frame.version <= (this.#versions.get(key) ?? -1)) return;
    this.#versions.set(key, frame.version);
    this.#handlers.onState?.([frame], false);
  }

  /** @param {any} frame */
  #onError(frame) {
    this.#phase = "refused";
    this.#handlers.onError?.(frame.code, frame.message);
  }
}
