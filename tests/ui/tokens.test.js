import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../../gateway/ui/client.js";
import { settle, surroundings } from "./fakes.js";

/** A JWT that expires `ms` from now; nobody checks its signature here. */
function jwt(clock, ms) {
  const body = Buffer.from(JSON.stringify({ sub: "é", exp: (clock.time + ms) / 1000 })).toString("base64url");
  return `h.${body}.s`;
}

/** A client whose tokens live for `ms`, numbered as they were given. */
async function loggedIn(ms, more = {}) {
  const world = surroundings(1);
  const given = [];
  const token = async () => {
    given.push(jwt(world.clock, ms + given.length * 1000));
    return given.at(-1);
  };
  const client = connect("ws://here/ws", { token, ...more }, world.env);
  await settle();
  return { ...world, client, given };
}

const tokens = (socket) => socket.sent.filter((frame) => frame.type === "auth").map((frame) => frame.token);

/** Time passes, and the server's heart beats. */
async function live({ clock, socket }, ms) {
  for (let passed = 0; passed < ms; passed += 5_000) {
    clock.advance(5_000);
    await settle();
    socket().push({ type: "heartbeat", tops: {} });
  }
}

test("a token is the first frame", async () => {
  const { socket, given } = await loggedIn(600_000);
  socket().welcome();

  assert.deepEqual(socket().sent, [{ type: "auth", token: given[0], ref: "1" }]);
});

test("a token that stands fast is shown at every connection", async () => {
  const { env, clock, sockets, socket } = surroundings(1);
  connect("ws://here/ws", { token: "t1" }, env);
  await settle();
  socket().welcome();
  socket().end(1012);
  clock.advance(1000);
  await settle();
  socket().welcome();

  assert.deepEqual(sockets.map(tokens), [["t1"], ["t1"]]);
});

test("the open connection gets a new token a minute before the old one expires", async () => {
  const world = await loggedIn(600_000);
  world.socket().welcome();
  await live(world, 520_000);
  assert.equal(tokens(world.socket()).length, 1);
  await live(world, 40_000);

  assert.deepEqual(tokens(world.socket()), world.given);
  assert.equal(world.given.length, 2);
  assert.equal(world.sockets.length, 1);
});

test("a token that was taken is good for the next connection, too", async () => {
  const { clock, socket, given } = await loggedIn(600_000);
  socket().welcome();
  socket().end(1006);
  clock.advance(1000);
  await settle();
  socket().welcome();

  assert.equal(given.length, 1);
  assert.deepEqual(tokens(socket()), given);
});

test("a source that gives the same token again is not asked all the time, and nothing is sent", async () => {
  const world = surroundings(1);
  const token = jwt(world.clock, 50_000);
  let asked = 0;
  connect("ws://here/ws", { token: () => ((asked += 1), token) }, world.env);
  await settle();
  world.socket().welcome();
  await live(world, 80_000);

  assert.ok(asked <= 5, `asked ${asked} times`);
  assert.equal(tokens(world.socket()).length, 1);
});

test("a renewal that is refused, or whose source fails, is tried again", async () => {
  for (const fails of [false, true]) {
    const world = surroundings(1);
    const given = [];
    const token = async () => {
      given.push(jwt(world.clock, 120_000 + given.length * 1000));
      if (fails && given.length === 2) throw new Error("a bad moment");
      return given.at(-1);
    };
    connect("ws://here/ws", { token }, world.env);
    await settle();
    world.socket().welcome();
    await live(world, 120_000);
    if (!fails) {
      const { ref } = world.socket().last("auth");
      world.socket().push({ type: "error", ref, code: "unauthenticated", message: "No." });
      await live(world, 20_000);
    }
    assert.equal(given.length, 3);
    assert.equal(tokens(world.socket()).at(-1), given[2]);
  }
});

test("4501 asks for a new token once, at once; a second one ends it", async () => {
  const ends = [];
  const { socket, sockets, given } = await loggedIn(600_000, { onEnd: (code) => ends.push(code) });
  socket().end(4501);
  await settle();
  assert.equal(sockets.length, 2);
  socket().open();
  assert.deepEqual(tokens(socket()), [given[1]]);
  assert.deepEqual(ends, []);
  socket().end(4501);
  await settle();

  assert.deepEqual(ends, [4501]);
  assert.equal(sockets.length, 2);
});

test("after a welcome a login that is over may be renewed once more", async () => {
  const { socket, sockets } = await loggedIn(600_000);
  for (let logins = 1; logins < 4; logins += 1) {
    assert.equal(sockets.length, logins);
    socket().welcome();
    socket().end(4501);
    await settle();
  }
});

test("a token that cannot be had is asked for again with back-off", async () => {
  const world = surroundings(1);
  let asked = 0;
  const token = async () => {
    asked += 1;
    if (asked < 3) throw new Error("the shop's login is down");
    return "t";
  };
  connect("ws://here/ws", { token }, world.env);
  for (const ms of [0, 1000, 2000]) {
    world.clock.advance(ms);
    await settle();
  }

  assert.equal(asked, 3);
  assert.equal(world.sockets.length, 1);
});

test("a source that never answers is given up, and its late answer opens nothing", async () => {
  const world = surroundings(1);
  const answers = [];
  connect("ws://here/ws", { token: () => new Promise((resolve) => answers.push(resolve)) }, world.env);
  await settle();
  world.clock.advance(11_000);
  await settle();
  answers[0]("late");
  await settle();
  assert.equal(world.sockets.length, 0);
  answers[1]("in time");
  await settle();

  assert.equal(world.sockets.length, 1);
});

test("a ticket is asked for at every connection and goes into the address", async () => {
  const world = surroundings(1);
  let last = 0;
  connect("https://here", { ticket: async () => `t&${(last += 1)}` }, world.env);
  await settle();
  world.socket().welcome();
  world.socket().end(1006);
  world.clock.advance(1000);
  await settle();

  assert.deepEqual(
    world.sockets.map((socket) => socket.url),
    ["wss://here/ws?ticket=t%261", "wss://here/ws?ticket=t%262"],
  );
});

test("a client that was closed while its token was on its way stays closed", async () => {
  const world = surroundings(1);
  const client = connect("ws://here/ws", { token: async () => "t" }, world.env);
  client.close();
  await settle();

  assert.equal(world.sockets.length, 0);
  assert.equal(world.clock.pending, 0);
});
