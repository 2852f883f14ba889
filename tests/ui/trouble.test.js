/**
 * Whatever a line does to the frames, what is shown is what the server holds: each event once, in order, or the
 * reader was told to load again. The server is scripted, chance is seeded; `TROUBLE_SEED=7` runs one seed alone.
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../../gateway/ui/client.js";
import { event, surroundings } from "./fakes.js";

const SEEDS = process.env.TROUBLE_SEED
  ? [Number(process.env.TROUBLE_SEED)]
  : Array.from({ length: 300 }, (_, number) => number + 1);
const STEPS = 120;

/** Mulberry32: a small generator that can be seeded. */
function chance(seed) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const below = (limit) => Math.floor(next() * limit);
  return { below, pick: (list) => list[below(list.length)] };
}

/** Streams as the protocol has them, for one connection that follows `inbox:*`. */
class Server {
  histories = new Map();
  line = [];
  sent = new Map();
  isFollowed = false;
  ref = "";

  /** Whether an inbox that is made later is named before its first event, as the gateway does. */
  namesNew = true;

  write(inbox) {
    if (!this.histories.has(inbox)) {
      this.histories.set(inbox, { epoch: `${inbox}-`, top: 0, floor: 0 });
      if (this.isFollowed && this.namesNew) {
        this.sent.set(inbox, 0);
        this.#confirm([inbox]);
      }
    }
    this.histories.get(inbox).top += 1;
    if (this.isFollowed) this.#push(inbox);
  }

  /** Too much changed to tell: the next offset stands for all of it. */
  beginAnew(inbox) {
    const history = this.histories.get(inbox);
    if (!history) return;
    history.floor = history.top += 1;
    history.epoch += "+";
    if (!this.isFollowed) return;
    this.#reset(inbox, "epoch_changed");
    this.#confirm();
  }

  /** While the client is away an older backup comes back: the same offsets stand for something else. */
  restore(inbox) {
    const history = this.histories.get(inbox);
    if (!history) return;
    history.top = Math.floor(history.top / 2);
    history.floor = Math.min(history.floor, history.top);
    history.epoch += "-";
  }

  /** Retention takes the older half. */
  forget(inbox) {
    const history = this.histories.get(inbox);
    if (history) history.floor += Math.floor((history.top - history.floor) / 2);
  }

  beat() {
    const tops = Object.fromEntries([...this.sent].map(([inbox, off]) => [`inbox:${inbox}`, off]));
    this.line.push({ type: "heartbeat", tops });
  }

  cut() {
    this.line = [];
    this.sent.clear();
    this.isFollowed = false;
  }

  hear(frame) {
    if (frame.type === "ping") return this.line.push({ type: "pong", ref: frame.ref });
    this.sent.clear();
    this.isFollowed = frame.type === "subscribe";
    if (!this.isFollowed) return this.line.push({ type: "unsubscribed", ref: frame.ref, topic: "inbox:*" });
    this.ref = frame.ref;
    for (const [inbox, history] of this.histories) {
      const after = frame.after?.[inbox] ?? { off: history.floor, epoch: history.epoch };
      if (after.epoch !== history.epoch) this.#reset(inbox, "epoch_changed");
      else if (after.off < history.floor) this.#reset(inbox, "offset_expired");
      else {
        this.sent.set(inbox, after.off);
        this.#push(inbox);
      }
    }
    this.#confirm();
  }

  #push(inbox) {
    const { top, epoch } = this.histories.get(inbox);
    for (let off = (this.sent.get(inbox) ?? 0) + 1; off <= top; off += 1)
      this.line.push(event(inbox, off, { id: `${epoch}${off}` }));
    this.sent.set(inbox, top);
  }

  #reset(inbox, reason) {
    const { top, epoch } = this.histories.get(inbox);
    this.sent.set(inbox, top);
    this.line.push({ type: "reset", topic: `inbox:${inbox}`, reason, off: top, epoch });
  }

  #confirm(inboxes = [...this.sent.keys()]) {
    const tops = Object.fromEntries(
      inboxes.map((inbox) => [inbox, { off: this.sent.get(inbox), epoch: this.histories.get(inbox).epoch }]),
    );
    this.line.push({ type: "subscribed", ref: this.ref, topic: "inbox:*", tops });
  }
}

/** A client, a server, and the line between them. */
class World {
  server = new Server();
  shown = {};
  /** Of which history each event is that came since the last load. */
  epochs = {};
  /** The client has not been told yet that these were. */
  restored = new Set();
  #world = surroundings(1);
  #heardUpTo = 0;

  constructor() {
    const client = connect("ws://here/ws", {}, this.#world.env);
    this.subscription = client.inbox("*", {
      after: {},
      onEvent: ({ inbox, off, data }) => {
        assert.equal(off, (this.shown[inbox] ?? 0) + 1, `inbox ${inbox}: a double or a hole`);
        this.shown[inbox] = off;
        (this.epochs[inbox] ??= new Set()).add(data.id.replace(/[0-9]+$/, ""));
      },
      // A load by REST shows everything up to where events go on, and maybe more.
      onReset: (inbox) => {
        this.shown[inbox] = this.subscription.position[inbox].off;
        this.epochs[inbox] = new Set();
      },
      onLive: () => this.restored.clear(),
    });
    this.#world.socket().welcome();
    this.listen();
  }

  /** What a handler threw: the client only reports it. */
  get complaints() {
    return this.#world.reported;
  }

  /** The server hears what the client has said. */
  listen() {
    const { sent } = this.#world.socket();
    while (this.#heardUpTo < sent.length) this.server.hear(sent[this.#heardUpTo++]);
  }

  deliver(count = Infinity) {
    for (; count > 0 && this.server.line.length; count -= 1) {
      this.#world.socket().push(this.server.line.shift());
      this.listen();
    }
  }

  cut(random) {
    this.server.cut();
    this.#world.socket().end(random.pick([1006, 1012, 4008]));
    for (const before = this.#world.sockets.length; this.#world.sockets.length === before;)
      this.#world.clock.advance(100);
    this.#heardUpTo = 0;
    this.#world.socket().welcome();
    this.listen();
  }
}

/** One thing that happens. Answers are never lost on a line that lives; events may be lost, doubled and swapped. */
function step(world, random) {
  const { server } = world;
  const events = server.line.flatMap((frame, at) => (frame.type === "event" ? [at] : []));
  const inbox = random.pick(["1", "2", "3"]);
  switch (random.below(13)) {
    case 0:
    case 1:
    case 2:
      for (let count = random.below(5); count >= 0; count -= 1) server.write(inbox);
      break;
    case 3:
    case 4:
      world.deliver(1 + random.below(10));
      break;
    case 5:
      server.beat();
      break;
    case 6:
      world.cut(random);
      break;
    case 7:
      server.beginAnew(inbox);
      break;
    case 8:
      server.forget(inbox);
      break;
    case 9:
      if (events.length) server.line.splice(random.pick(events), 1);
      break;
    case 10:
      if (events.length)
        server.line.splice(random.below(server.line.length), 0, server.line[random.pick(events)]);
      break;
    case 12:
      server.restore(inbox);
      world.restored.add(inbox);
      world.cut(random);
      break;
    case 11:
      if (events.length) {
        const [one, other] = [random.pick(events), random.pick(events)];
        [server.line[one], server.line[other]] = [server.line[other], server.line[one]];
      }
      break;
  }
}

test("through losses, doubles, swaps and cuts, what is shown is what the server holds", () => {
  for (const seed of SEEDS) {
    const random = chance(seed);
    const world = new World();
    world.server.namesNew = seed % 2 === 0;
    const tops = () =>
      Object.fromEntries([...world.server.histories].map(([inbox, { top }]) => [inbox, top]));
    try {
      for (let number = 0; number < STEPS; number += 1) {
        step(world, random);
        for (const [inbox, off] of Object.entries(world.shown))
          assert.ok(world.restored.has(inbox) || off <= tops()[inbox]);
      }
      for (let beats = 0; beats < 3; beats += 1) {
        world.deliver();
        world.server.beat();
      }
      world.deliver();
      assert.deepEqual(world.complaints, []);
      assert.deepEqual(world.shown, tops());
      for (const [inbox, epochs] of Object.entries(world.epochs))
        for (const epoch of epochs)
          assert.equal(epoch, world.server.histories.get(inbox).epoch, "two histories are mixed");
    } catch (error) {
      error.message = `TROUBLE_SEED=${seed}: ${error.message}`;
      throw error;
    }
  }
});
