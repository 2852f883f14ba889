/**
 * Where a client stands in each inbox, and what that says about the next event.
 *
 * Offsets are gap-free, so a client sees by itself whether it has missed something or has something twice.
 */

/** @import { Position, PositionMap } from "../common/types.js" */

/** No frame may be over 256 KiB. */
const AFTER_BYTES = 200 * 1024;
const OTHERS = "*";

export class Positions {
  /** @type {Map<string, Position>} */
  #at = new Map();

  /** The gateway's word for all inboxes that are not named (`?position=page`). @type {string | null} */
  #others = null;

  /** @param {PositionMap} [after] */
  constructor(after = {}) {
    for (const [inbox, position] of Object.entries(after)) {
      if (inbox === OTHERS) this.#others = String(position);
      else this.#at.set(inbox, { ...position });
    }
  }

  /** Whether it is known where the inboxes stand that are not named: their first event may have any offset. */
  get knowsOthers() {
    return this.#others !== null;
  }

  get size() {
    return this.#at.size;
  }

  /** @param {string} inbox */
  get(inbox) {
    return this.#at.get(inbox);
  }

  /** @param {string} inbox @param {Position} position */
  set(inbox, position) {
    this.#at.set(inbox, { off: position.off, epoch: position.epoch });
  }

  /**
   * Forgets the inboxes whose epoch we were never told; returns those of which we have something. With a word for all
   * others nothing is forgotten: the word names their history, and what comes again is dropped by its offset.
   *
   * @returns {string[]}
   */
  dropUnplaced() {
    if (this.#others !== null) return [];
    const dropped = [...this.#at].filter(([, { epoch }]) => epoch === null);
    for (const [inbox] of dropped) this.#at.delete(inbox);
    return dropped.filter(([, { off }]) => off > 0).map(([inbox]) => inbox);
  }

  /**
   * What the event `off` is to somebody who stands here. `first`: of an inbox never heard of.
   *
   * @param {string} inbox
   * @param {number} off
   * @returns {"next" | "double" | "gap" | "first"}
   */
  judge(inbox, off) {
    const here = this.#at.get(inbox);
    if (!here) return "first";
    if (off <= here.off) return "double";
    return off === here.off + 1 ? "next" : "gap";
  }

  /** @returns {PositionMap} */
  all() {
    const all = Object.fromEntries([...this.#at].map(([inbox, position]) => [inbox, { ...position }]));
    return this.#others === null ? all : { ...all, [OTHERS]: /** @type {any} */ (this.#others) };
  }

  /**
   * What `after` says on the wire: as many as one frame can hold. An inbox that did not fit is replayed from its
   * beginning, and what we have is dropped by offset; of another history, `subscribed` tells by its epoch.
   *
   * @returns {Record<string, {off: number, epoch: string} | string>}
   */
  wire() {
    /** @type {Record<string, {off: number, epoch: string} | string>} */
    const after = {};
    let size = this.#others?.length ?? 0;
    if (this.#others !== null) after[OTHERS] = this.#others;
    for (const [inbox, { off, epoch }] of this.#at) {
      if (epoch === null) continue;
      size += `"${inbox}":{"off":${off},"epoch":"${epoch}"},`.length;
      if (size > AFTER_BYTES) break;
      after[inbox] = { off, epoch };
    }
    return after;
  }
}

/**
 * Whether something read at `position` already holds what event `off` of history `epoch` did.
 *
 * @param {Position | undefined} position
 * @param {{off: number, epoch: string | null}} event
 */
export function isCovered(position, event) {
  if (!position) return false;
  const sameHistory = position.epoch === null || event.epoch === null || position.epoch === event.epoch;
  return sameHistory && event.off <= position.off;
}
