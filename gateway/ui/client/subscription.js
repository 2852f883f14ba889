/**
 * One topic as one client hears it: resumes where it stood, drops doubles, notices gaps, keeps the newest state.
 *
 * Phases: idle (no socket) → joining (subscribe sent, replay may come) → live. On a gap: live → leaving → joining.
 * `leaving` lasts until the server confirms, so that events already on their way are not taken for the replay.
 * `waiting`: the server could not just now. `refused` lasts until the next connection.
 */

import { Positions } from "./positions.js";

/** @import { PositionMap, StateFrame, StateHandlers, StreamHandlers } from "../client.js" */

/**
 * @typedef {Record<string, any>} Frame
 *
 * @typedef {object} Wire
 * @property {(frame: Record<string, unknown>) => string} send  adds a ref, sends the frame and returns the ref
 * @property {(run: () => void) => void} later  calls it after a moment
 */

export class Topic {
  /** @type {"idle" | "joining" | "live" | "leaving" | "waiting" | "refused"} */
  phase = "idle";
  #ref = "";
  #wire;
  #onError;
  #isOver = false;

  /** @param {string} name @param {Pick<StreamHandlers, "onError">} handlers @param {Wire} wire */
  constructor(name, { onError }, wire) {
    this.name = name;
    this.#onError = onError;
    this.#wire = wire;
  }

  /** Where each inbox stands, as `after` would name it. @returns {PositionMap} */
  get position() {
    return {};
  }

  /** Asks for the topic on a fresh connection. */
  join() {
    this.phase = "joining";
    this.#ref = this.#wire.send({ type: "subscribe", topic: this.name, ...this.wish() });
  }

  /** The socket is gone. Where we stand stays. */
  lose() {
    this.phase = "idle";
  }

  /** For good. @param {boolean} isShared  somebody else on this connection still wants the topic */
  leave(isShared) {
    if (this.phase !== "idle" && !isShared) this.#wire.send({ type: "unsubscribe", topic: this.name });
    this.phase = "idle";
    this.#isOver = true;
  }

  /** @param {Frame} frame  any frame of the server; those of others are ignored */
  receive(frame) {
    if (this.#isOver) return;
    const isOurs = this.#ref !== "" && frame.ref === this.#ref;
    const isJoined = this.phase === "joining" || this.phase === "live";
    if (frame.type === "subscribed") {
      // Two of one client may want the same topic: the server answers the newer wish, and that holds for both.
      if (frame.topic !== this.name || !isJoined || Number(frame.ref) < Number(this.#ref)) return;
      const isNews = this.phase === "live"; // an inbox made just now, or what a new login added
      if (!frame.more) this.phase = "live";
      this.onSubscribed(frame, isNews);
    } else if (frame.type === "unsubscribed") {
      if (isOurs && this.phase === "leaving") this.join();
      else if (!frame.ref && frame.topic === this.name)
        this.#refuse("forbidden", "The new login does not cover it.");
    } else if (frame.type === "error") {
      if (isOurs) this.#onFault(frame);
    } else if (isJoined) this.onOther(frame);
  }

  /** Something was lost on the way, and the server has it: asks again from where we stand. */
  rejoin() {
    this.phase = "leaving";
    this.#ref = this.#wire.send({ type: "unsubscribe", topic: this.name });
  }

  /** @param {Frame} frame */
  #onFault(frame) {
    if (this.phase === "leaving") return this.join(); // it ended on the server before we left
    if (frame.code !== "unavailable") return this.#refuse(frame.code, frame.message);
    this.phase = "waiting";
    this.#wire.later(() => {
      if (this.phase === "waiting") this.join();
    });
  }

  /** @param {string} code @param {string} message */
  #refuse(code, message) {
    this.phase = "refused";
    this.#onError?.(code, message);
  }

  // ------------------------------------------------------------------------------------------ by kind

  /** What `subscribe` says besides the topic. @returns {Record<string, unknown>} */
  wish() {
    return {};
  }

  /** @param {Frame} _frame @param {boolean} _isNews  the topic was live already */
  onSubscribed(_frame, _isNews) {}

  /** @param {Frame} _frame */
  onOther(_frame) {}
}

/** `inbox:<id>` or `inbox:*`. */
export class StreamTopic extends Topic {
  #positions;
  #resumes;
  /** What the last subscribe brings begins where we stood, and not just now. */
  #hasAskedBack = false;
  /** We were given a position, or a replay has ended: from then on we resume, and never begin from now again. */
  #hasBegun;
  /** Inboxes whose events we had told when we were cut off before their epoch. @type {Set<string>} */
  #unplaced = new Set();
  #handlers;

  /**
   * @param {string} name
   * @param {StreamHandlers} handlers
   * @param {Wire} wire
   * @param {PositionMap} [after]  where loaded data stands; without it the stream starts from now
   */
  constructor(name, handlers, wire, after) {
    super(name, handlers, wire);
    this.#handlers = handlers;
    this.#positions = new Positions(after);
    this.#resumes = this.#hasBegun = after !== undefined;
    this.#dropUnplaced();
  }

  get position() {
    return this.#positions.all();
  }

  lose() {
    super.lose();
    this.#dropUnplaced();
    this.#resumes = this.#hasBegun || this.#positions.size > 0;
  }

  /**
   * What we have of these inboxes may be of a history that is gone when we come back, where the same offsets stand for
   * something else: they begin anew, and the reader is told with the first that we hear of them.
   */
  #dropUnplaced() {
    for (const inbox of this.#positions.dropUnplaced()) this.#unplaced.add(inbox);
  }

  wish() {
    this.#hasAskedBack = this.#resumes;
    if (!this.#resumes) return {};
    const after = this.#positions.wire();
    if (this.name === "inbox:*") return { after };
    // Without a position a single inbox begins from now; of all inboxes, each does at its beginning.
    const own = after[this.name.slice("inbox:".length)];
    return own ? { after: own } : {};
  }

  /** @param {string} topic */
  #covers(topic) {
    return topic === this.name || (this.name === "inbox:*" && topic.startsWith("inbox:"));
  }

  /** @param {Frame} frame */
  onOther(frame) {
    if (frame.type === "heartbeat") return this.#compare(frame.tops ?? {});
    if (typeof frame.topic !== "string" || !this.#covers(frame.topic)) return;
    const inbox = frame.topic.slice("inbox:".length);
    if (frame.type === "event") this.#onEvent(inbox, frame);
    if (frame.type === "presence")
      this.#handlers.onPresence?.({ inbox, chat: String(frame.chat), who: frame.who ?? [] });
    if (frame.type === "reset") this.#reset(inbox, frame.reason, frame.off, frame.epoch ?? null);
  }

  /** @param {string} inbox @param {Frame} frame */
  #onEvent(inbox, frame) {
    const { event, off, at, data, truncated } = frame;
    if (this.#unplaced.has(inbox)) this.#reset(inbox, "epoch_unknown", off - 1, null);
    const verdict = this.#positions.judge(inbox, off);
    if (verdict === "double") return;
    const epoch = this.#positions.get(inbox)?.epoch ?? null;
    if (verdict === "gap" || (verdict === "first" && off !== 1 && !this.#positions.knowsOthers)) {
      // In a replay there is nothing left to ask for.
      if (this.phase === "live") return this.rejoin();
      if (verdict === "gap" || this.#hasAskedBack) this.#reset(inbox, "gap", off - 1, epoch);
    }
    this.#move(inbox, off, epoch);
    this.#handlers.onEvent?.({ inbox, off, epoch, event, at, data, ...(truncated ? { truncated } : {}) });
  }

  /** @param {Frame} frame @param {boolean} isNews */
  onSubscribed(frame, isNews) {
    const own = this.name.slice("inbox:".length);
    const tops = frame.tops ?? { [own]: { off: frame.off, epoch: frame.epoch } };
    for (const [inbox, top] of Object.entries(tops)) this.#settle(inbox, top, isNews);
    if (frame.more) return; // with thousands of inboxes it comes in several frames
    this.#resumes = this.#hasBegun = true;
    // The database that came back does not have these.
    for (const inbox of this.#unplaced) this.#reset(inbox, "epoch_unknown", 0, null);
    this.#handlers.onLive?.();
  }

  /**
   * The replay is over: where it ended must be where we stand. Of news it only says what has been sent before.
   *
   * @param {string} inbox
   * @param {{off: number, epoch: string}} top
   * @param {boolean} isNews
   */
  #settle(inbox, { off, epoch }, isNews) {
    if (this.#unplaced.has(inbox)) return this.#reset(inbox, "epoch_unknown", off, epoch);
    const here = this.#positions.get(inbox);
    const isSame = here && (here.epoch === epoch || (isNews && here.epoch === null));
    if (isSame && here.off >= off) return this.#move(inbox, here.off, epoch);
    const isUnheard = this.#hasAskedBack && off > 0 && !this.#positions.knowsOthers;
    const isMissing = here ? here.epoch !== null || here.off !== off : isUnheard;
    if (isMissing) this.#reset(inbox, "gap", off, epoch);
    else this.#move(inbox, off, epoch);
  }

  /** @param {Record<string, number>} tops  the newest offset sent of each inbox that moved */
  #compare(tops) {
    if (this.phase !== "live") return;
    for (const [topic, off] of Object.entries(tops)) {
      if (!this.#covers(topic)) continue;
      if ((this.#positions.get(topic.slice("inbox:".length))?.off ?? 0) < off) return this.rejoin();
    }
  }

  /** @param {string} inbox @param {string} reason @param {number} off @param {string | null} epoch */
  #reset(inbox, reason, off, epoch) {
    this.#unplaced.delete(inbox);
    this.#move(inbox, off, epoch);
    this.#handlers.onReset?.(inbox, reason);
  }

  /** @param {string} inbox @param {number} off @param {string | null} epoch */
  #move(inbox, off, epoch) {
    this.#positions.set(inbox, { off, epoch });
    this.#resumes = true;
  }
}

/** `sessions` or `session:<id>`. */
export class StateTopic extends Topic {
  /** @type {Map<string, number>} newest version by session and part */
  #versions = new Map();
  #handlers;

  /** @param {string} name @param {StateHandlers} handlers @param {Wire} wire */
  constructor(name, handlers, wire) {
    super(name, handlers, wire);
    this.#handlers = handlers;
  }

  /** @param {Frame} frame */
  onSubscribed(frame) {
    // Believed whatever its versions: after the restore of a backup they are lower than the ones we knew.
    /** @type {StateFrame[]} */
    const states = frame.state ?? [];
    this.#versions = new Map(states.map((state) => [`${state.session_id}/${state.part}`, state.version]));
    this.#handlers.onState?.(states, true);
    this.#handlers.onLive?.();
  }

  /** @param {Frame} frame */
  onOther(frame) {
    if (frame.type !== "state" || frame.topic !== this.name || this.phase !== "live") return;
    const key = `${frame.session_id}/${frame.part}`;
    if (frame.version <= (this.#versions.get(key) ?? -1)) return;
    this.#versions.set(key, frame.version);
    this.#handlers.onState?.([/** @type {StateFrame} */ (frame)], false);
  }
}
