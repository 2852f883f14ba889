import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../../gateway/ui/client.js";
import { event, surroundings } from "./fakes.js";

/** A client that has been welcomed, with a log of what its subscription handed on. */
function connected({
  topic = "inbox:*",
  after = { 1: { off: 5, epoch: "a" } },
  options = {},
  chance = 1,
} = {}) {
  const world = surroundings(chance);
  const heard = [];
  const client = connect("ws://here/ws", options, world.env);
  const handlers = {
    onEvent: (message) => heard.push(`${message.inbox}:${message.off}`),
    onReset: (inbox, reason) => heard.push(`reset ${inbox} ${reason}`),
    onLive: () => heard.push("live"),
    onError: (code) => heard.push(`refused ${code}`),
    onState: (frames, snapshot) =>
      heard.push(`${snapshot ? "all" : "one"} ${frames.map((frame) => frame.version)}`),
  };
  const [kind, name] = topic.split(":");
  const subscription =
    kind === "sessions"
      ? client.sessions(handlers)
      : kind === "session"
        ? client.session(name, handlers)
        : client.inbox(name, { after, ...handlers });
  world.socket().welcome();
  return { ...world, client, heard, subscription };
}

test("a stream is resumed from the loaded position, and again from the last event after a cut", () => {
  const { clock, sockets, socket, heard } = connected();
  assert.deepEqual(socket().last("subscribe").after, { 1: { off: 5, epoch: "a" } });
  socket().push(event(1, 6), event(1, 7));
  socket().confirm({ tops: { 1: { off: 7, epoch: "a" } } });
  socket().push(event(1, 8));
  socket().end(1006);
  clock.advance(1000);
  socket().welcome();

  assert.equal(sockets.length, 2);
  assert.deepEqual(socket().last("subscribe").after, { 1: { off: 8, epoch: "a" } });
  assert.deepEqual(heard, ["1:6", "1:7", "live", "1:8"]);
});

test("an event that comes twice is handed on once", () => {
  const { socket, heard } = connected();
  socket().push(event(1, 5), event(1, 6), event(1, 6));
  socket().confirm({ tops: { 1: { off: 6, epoch: "a" } } });
  socket().push(event(1, 6), event(1, 7));

  assert.deepEqual(heard, ["1:6", "live", "1:7"]);
});

test("a gap makes the client ask again from the last good offset, and nothing is handed on out of order", () => {
  const { socket, heard } = connected();
  socket().confirm({ tops: { 1: { off: 5, epoch: "a" } } });
  socket().push(event(1, 6), event(1, 9), event(1, 10));
  const leaving = socket().last("unsubscribe");
  assert.equal(leaving.topic, "inbox:*");
  socket().push(event(1, 11), { type: "unsubscribed", ref: leaving.ref, topic: "inbox:*" });
  assert.deepEqual(socket().last("subscribe").after, { 1: { off: 6, epoch: "a" } });
  socket().push(event(1, 7), event(1, 8), event(1, 9), event(1, 10), event(1, 11));
  socket().confirm({ tops: { 1: { off: 11, epoch: "a" } } });

  assert.deepEqual(heard, ["live", "1:6", "1:7", "1:8", "1:9", "1:10", "1:11", "live"]);
});

test("a heartbeat that names a newer offset than ours is a gap", () => {
  const { socket } = connected();
  socket().confirm({ tops: { 1: { off: 5, epoch: "a" } } });
  socket().push({ type: "heartbeat", tops: { "inbox:1": 5 } });
  assert.equal(socket().last("unsubscribe"), undefined);
  socket().push({ type: "heartbeat", tops: { "inbox:1": 6 } });

  assert.notEqual(socket().last("unsubscribe"), undefined);
});

test("a heartbeat about an inbox nobody asked for is not a gap", () => {
  const { socket } = connected({ topic: "inbox:1" });
  socket().confirm({ off: 5, epoch: "a" });
  socket().push({ type: "heartbeat", tops: { "inbox:2": 50 } });

  assert.equal(socket().last("unsubscribe"), undefined);
});

test("a replay that ends past what arrived is reported as a reset, once", () => {
  const { socket, heard } = connected();
  socket().push(event(1, 6));
  socket().confirm({ tops: { 1: { off: 9, epoch: "a" } } });
  socket().push(event(1, 10));

  assert.deepEqual(heard, ["1:6", "reset 1 gap", "live", "1:10"]);
});

test("a reset is told and the stream goes on from the offset it names", () => {
  const { socket, heard } = connected();
  socket().push({ type: "reset", topic: "inbox:1", reason: "epoch_changed", off: 2, epoch: "b" });
  socket().confirm({ tops: { 1: { off: 2, epoch: "b" } } });
  socket().push(event(1, 3));

  assert.deepEqual(heard, ["reset 1 epoch_changed", "live", "1:3"]);
});

test("an inbox whose history was not told begins anew after a cut, and the reader is told", () => {
  const { clock, socket, heard } = connected();
  socket().confirm({ tops: { 1: { off: 5, epoch: "a" } } });
  socket().push(event(2, 1), event(2, 2));
  socket().end(1006);
  clock.advance(1000);
  socket().welcome();
  assert.deepEqual(socket().last("subscribe").after, { 1: { off: 5, epoch: "a" } });
  socket().push(event(2, 1), event(2, 2), event(2, 3));
  socket().confirm({ tops: { 1: { off: 5, epoch: "a" }, 2: { off: 3, epoch: "z" } } });

  assert.deepEqual(heard, ["live", "2:1", "2:2", "reset 2 epoch_unknown", "2:1", "2:2", "2:3", "live"]);
});

test("a stream from now that was cut off before it began begins from now, and what it told is reset", () => {
  const world = surroundings();
  const heard = [];
  connect("ws://here/ws", {}, world.env).inbox(1, {
    onEvent: (message) => heard.push(message.off),
    onReset: (_, reason) => heard.push(reason),
  });
  world.socket().welcome();
  world.socket().push(event(1, 6));
  world.socket().end(1006);
  world.clock.advance(1000);
  world.socket().welcome();
  assert.equal("after" in world.socket().last("subscribe"), false);
  world.socket().confirm({ off: 6, epoch: "b" });

  assert.deepEqual(heard, [6, "epoch_unknown"]);
});

test("an inbox that the restored database does not have is reset, and a kept position without epoch is none", () => {
  const { socket, heard } = connected({ after: { 1: { off: 5, epoch: null } } });
  assert.deepEqual(socket().last("subscribe").after, {});
  socket().confirm({ tops: {} });

  assert.deepEqual(heard, ["reset 1 epoch_unknown", "live"]);
});

test("a single inbox is resumed with a position of its own", () => {
  const { socket } = connected({ topic: "inbox:1" });

  assert.deepEqual(socket().last("subscribe").after, { off: 5, epoch: "a" });
});

test("without a loaded position a stream starts from now", () => {
  const world = surroundings();
  connect("ws://here/ws", {}, world.env).inbox(1);
  world.socket().welcome();

  assert.equal("after" in world.socket().last("subscribe"), false);
});

test("a refused topic is reported and does not disturb the others", () => {
  const { socket, heard } = connected();
  socket().push({ type: "error", ref: socket().last("subscribe").ref, code: "forbidden", message: "No." });

  assert.deepEqual(heard, ["refused forbidden"]);
});

test("an older state is dropped, and a new snapshot is believed whatever its versions", () => {
  const { clock, socket, heard } = connected({ topic: "sessions", after: undefined });
  const state = (version) => ({
    type: "state",
    topic: "sessions",
    session_id: 1,
    part: "session",
    version,
    data: {},
  });
  socket().confirm({ state: [state(4)] });
  socket().push(state(3), state(4), state(6), state(5));
  socket().end(1012);
  clock.advance(1000);
  socket().welcome();
  socket().confirm({ state: [state(2)] });

  assert.deepEqual(heard, ["all 4", "live", "one 6", "all 2", "live"]);
});

test("tries come after 1, 2, 4, 8, 16, 30 and 30 seconds", () => {
  const { clock, sockets, env } = surroundings(1);
  connect("ws://here/ws", {}, env);
  for (const [tries, wait] of [1000, 2000, 4000, 8000, 16000, 30000, 30000].entries()) {
    sockets.at(-1).end(1006);
    clock.advance(wait - 1);
    assert.equal(sockets.length, tries + 1);
    clock.advance(1);
    assert.equal(sockets.length, tries + 2);
  }
});

test("all of the wait is left to chance, but never nothing at all", () => {
  const { clock, sockets, env } = surroundings(0);
  connect("ws://here/ws", {}, env);
  sockets[0].end(1006);
  clock.advance(99);
  assert.equal(sockets.length, 1);
  clock.advance(1);

  assert.equal(sockets.length, 2);
});

test("a connection that held for a while makes the next wait short again, a brief one does not", () => {
  const { clock, sockets, socket, env } = surroundings(1);
  connect("ws://here/ws", {}, env);
  for (const wait of [1000, 2000]) {
    socket().welcome();
    socket().end(1011);
    clock.advance(wait);
  }
  assert.equal(sockets.length, 3);
  socket().welcome();
  clock.advance(6000);
  socket().end(1011);
  clock.advance(1000);

  assert.equal(sockets.length, 4);
});

test("coming online or back to the tab connects at once", () => {
  const { clock, sockets, socket, wake } = connected();
  socket().end(1006);
  clock.advance(10);
  wake();

  assert.equal(sockets.length, 2);
});

test("after a wake a socket that does not answer is replaced, one that answers is kept", () => {
  const { clock, sockets, socket, wake } = connected();
  clock.advance(10);
  wake();
  clock.advance(100);
  socket().push({ type: "pong", ref: "9" });
  clock.advance(5000);
  assert.equal(sockets.length, 1);
  wake();
  clock.advance(5000);

  assert.equal(sockets.length, 2);
});

test("a silent server is asked once and given up after two heartbeats", () => {
  const { clock, sockets, socket } = connected();
  clock.advance(35_000);
  assert.equal(socket().last("ping").type, "ping");
  clock.advance(20_000);

  assert.equal(sockets.length, 2);
});

test("a client with nothing to say still speaks within 90 seconds", () => {
  const { clock, sockets, socket } = connected();
  for (let beats = 0; beats < 4; beats += 1) {
    clock.advance(20_000);
    socket().push({ type: "heartbeat", tops: {} });
  }

  assert.equal(sockets.length, 1);
  assert.equal(socket().last("ping").type, "ping");
});

test("a server that accepts and says nothing is given up", () => {
  const { clock, sockets, env } = surroundings(1);
  connect("ws://here/ws", {}, env);
  sockets[0].open();
  clock.advance(11_000);

  assert.equal(sockets.length, 2);
});

test("a drain is obeyed: back after the time it names, also when the server hangs up first", () => {
  for (const hangsUp of [false, true]) {
    const { clock, sockets, socket } = connected();
    socket().push({ type: "drain", reconnect_after_ms: 7200 });
    if (hangsUp) {
      clock.advance(200);
      socket().end(1012);
      clock.advance(6999);
    } else clock.advance(7199);
    assert.equal(sockets.length, 1);
    clock.advance(1);
    assert.equal(sockets.length, 2);
  }
});

for (const code of [4500, 4501, 4503, 4529]) {
  test(`${code} ends it, says so, and only an open by hand comes back`, () => {
    const stops = [];
    const { clock, sockets, client, socket, wake } = connected({
      options: { onEnd: (why) => stops.push(why) },
    });
    socket().end(code);
    clock.advance(600_000);
    wake();
    assert.deepEqual(stops, [code]);
    assert.equal(sockets.length, 1);
    assert.equal(client.status, "offline");
    client.open();
    assert.equal(sockets.length, 2);
  });
}

for (const code of [1000, 1001, 1006, 1011, 1012, 1013, 4008, 4009]) {
  test(`after ${code} the client comes back`, () => {
    const { clock, sockets, socket } = connected();
    socket().end(code);
    clock.advance(1000);

    assert.equal(sockets.length, 2);
  });
}

test("the banner follows: reconnecting, offline after half a minute, online, stale, fresh", () => {
  const { clock, client, socket, wake } = connected();
  const said = [];
  client.watch((status) => said.push(status));
  socket().push({ type: "stale", since: "2026-01-01T00:00:00Z" }, { type: "fresh" });
  socket().end(1006);
  clock.advance(31_000);
  wake();
  socket().welcome();

  assert.deepEqual(said, ["online", "stale", "online", "reconnecting", "offline", "online"]);
});

test("another version of the server is told, the first one is not", () => {
  const versions = [];
  const { clock, socket } = connected({ options: { onVersion: (version) => versions.push(version) } });
  for (const version of ["1.0", "1.1"]) {
    socket().end(1012);
    clock.advance(2000);
    socket().welcome({ version });
  }

  assert.deepEqual(versions, ["1.1"]);
});

test("what was closed is unsubscribed and not asked for again", () => {
  const { clock, client, socket } = connected();
  const handle = client.session(3, {});
  handle.close();
  assert.equal(socket().last("unsubscribe").topic, "session:3");
  socket().end(1006);
  clock.advance(1000);
  socket().welcome();

  assert.deepEqual(
    socket()
      .sent.filter((frame) => frame.type === "subscribe")
      .map((frame) => frame.topic),
    ["inbox:*"],
  );
});

test("frames that are not JSON or of no known type are ignored", () => {
  const { socket, heard, client } = connected();
  for (const data of ["{", "null", "[]", "7", '"text"']) socket().onmessage({ data });
  socket().push({ type: "something_new", topic: "inbox:1" }, {});

  assert.equal(client.status, "online");
  assert.deepEqual(heard, []);
});

test("after close nothing rings any more", () => {
  const { clock, client, sockets } = connected();
  client.close();
  clock.advance(600_000);

  assert.equal(sockets.length, 1);
  assert.equal(clock.pending, 0);
});
