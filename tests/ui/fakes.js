/** A clock that is moved, and a server that is scripted: the surroundings of a client under test. */

export class FakeClock {
  /** Not 0, so that "never" and "at the start" differ. */
  time = 1_000_000;
  #timers = [];
  #lastId = 0;

  setTimer = (run, ms) => {
    this.#lastId += 1;
    this.#timers.push({ id: this.#lastId, at: this.time + ms, run });
    return this.#lastId;
  };

  clearTimer = (id) => {
    this.#timers = this.#timers.filter((timer) => timer.id !== id);
  };

  /** Lets `ms` pass, and every timer on the way ring in its order. */
  advance(ms) {
    const end = this.time + ms;
    for (;;) {
      const next = this.#timers
        .filter((timer) => timer.at <= end)
        .sort((a, b) => a.at - b.at || a.id - b.id)[0];
      if (!next) break;
      this.clearTimer(next.id);
      this.time = next.at;
      next.run();
    }
    this.time = end;
  }

  get pending() {
    return this.#timers.length;
  }
}

class FakeSocket {
  readyState = 0;
  sent = [];
  closedWith = null;
  onopen = null;
  onmessage = null;
  onclose = null;

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code) {
    this.closedWith = code;
    this.readyState = 3;
  }

  // What the server does:

  open() {
    this.readyState = 1;
    this.onopen?.();
  }

  push(...frames) {
    for (const frame of frames) this.onmessage?.({ data: JSON.stringify(frame) });
  }

  welcome(more = {}) {
    this.open();
    this.push({ type: "welcome", connection: "c", heartbeat_s: 25, version: "1.0", protocol: 1, ...more });
  }

  end(code) {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  /** The newest frame of a type, or undefined. */
  last(type) {
    return this.sent.filter((frame) => frame.type === type).at(-1);
  }

  /** Confirms the newest subscribe. */
  confirm(more) {
    const { ref, topic } = this.last("subscribe");
    this.push({ type: "subscribed", ref, topic, ...more });
  }
}

/** @param {number} [chance] what `random` always answers */
export function surroundings(chance = 1) {
  const clock = new FakeClock();
  const sockets = [];
  const sleepers = new Set();
  const reported = [];
  const env = {
    connect: (url) => {
      const socket = new FakeSocket();
      socket.url = url;
      sockets.push(socket);
      return socket;
    },
    now: () => clock.time,
    random: () => chance,
    setTimer: clock.setTimer,
    clearTimer: clock.clearTimer,
    onWake: (run) => {
      sleepers.add(run);
      return () => sleepers.delete(run);
    },
    report: (error) => reported.push(error.message),
  };
  /** The network or the tab comes back. */
  const wake = () => sleepers.forEach((run) => run());
  return { clock, sockets, env, socket: () => sockets.at(-1), wake, reported };
}

/** Lets promises that are settled run what waits for them. */
export async function settle() {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

/** An event frame of an inbox. */
export function event(inbox, off, data = {}) {
  return {
    type: "event",
    topic: `inbox:${inbox}`,
    off,
    event: "message.created",
    at: "2026-01-01T00:00:00Z",
    data,
  };
}
