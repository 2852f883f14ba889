import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../../gateway/ui/client.js";
import { event, surroundings } from "./fakes.js";

/** A welcomed client, and a way to follow an inbox that logs what it hears. */
function online() {
  const world = surroundings(1);
  const client = connect("ws://here/ws", {}, world.env);
  world.socket().welcome();
  const follow = (inbox, after) => {
    const heard = [];
    const subscription = client.inbox(inbox, {
      after,
      onEvent: (message) => heard.push(message.off),
      onReset: (name, reason) => heard.push(`reset ${name} ${reason}`),
      onLive: () => heard.push("live"),
      onError: (code) => heard.push(`refused ${code}`),
    });
    return { heard, subscription };
  };
  return { ...world, client, follow };
}

test("the address of the gateway is enough", () => {
  for (const [url, socketUrl] of [
    ["https://gateway.example.com", "wss://gateway.example.com/ws"],
    ["http://127.0.0.1:8000/", "ws://127.0.0.1:8000/ws"],
    ["wss://gateway.example.com/inner/ws", "wss://gateway.example.com/inner/ws"],
    ["https://shop.example/gateway", "wss://shop.example/gateway/ws"],
    ["https://shop.example/gateway/", "wss://shop.example/gateway/ws"],
  ]) {
    const { env, socket } = surroundings();
    connect(url, {}, env);
    assert.equal(socket().url, socketUrl);
  }
});

test("a single inbox takes its entry of a map, or the entry alone", () => {
  const { socket, follow } = online();
  const own = { off: 4, epoch: "a" };
  follow("12", { 11: { off: 9, epoch: "b" }, 12: own });
  assert.deepEqual(socket().last("subscribe").after, own);
  follow("13", own);

  assert.deepEqual(socket().last("subscribe").after, own);
});

test("the position goes in as `after` next time", () => {
  const { socket, follow } = online();
  const { subscription } = follow("*", { 1: { off: 5, epoch: "a" } });
  socket().push(event(1, 6));
  socket().confirm({ tops: { 1: { off: 6, epoch: "a" }, 2: { off: 0, epoch: "b" } } });
  follow("*", subscription.position);

  assert.deepEqual(socket().last("subscribe").after, {
    1: { off: 6, epoch: "a" },
    2: { off: 0, epoch: "b" },
  });
});

test("an inbox that the loaded position does not know is loaded again if its beginning is past retention", () => {
  const { socket, follow } = online();
  const { heard } = follow("*", { 1: { off: 5, epoch: "a" } });
  socket().push(event(2, 41), event(2, 42));
  socket().confirm({
    tops: { 1: { off: 5, epoch: "a" }, 2: { off: 42, epoch: "b" }, 3: { off: 7, epoch: "c" } },
  });

  assert.deepEqual(heard, ["reset 2 gap", 41, 42, "reset 3 gap", "live"]);
});

test("with thousands of inboxes the answer comes in several frames, and events between them are no gaps", () => {
  const { socket, follow } = online();
  const { heard, subscription } = follow("*");
  socket().confirm({ tops: { 1: { off: 5, epoch: "a" } }, more: true });
  socket().push(event(2, 42), event(1, 6));
  assert.deepEqual(heard, [42, 6]);
  socket().confirm({ tops: { 2: { off: 42, epoch: "b" } } });

  assert.deepEqual(heard, [42, 6, "live"]);
  assert.deepEqual(subscription.position, { 1: { off: 6, epoch: "a" }, 2: { off: 42, epoch: "b" } });
});

test("positions of thousands of inboxes are named as far as a frame can hold them", () => {
  const { socket, follow } = online();
  const epoch = "5b0f6b0e-6d8c-4c57-9f43-1d2a3b4c5d6e";
  follow("*", Object.fromEntries(Array.from({ length: 5000 }, (_, inbox) => [inbox, { off: 1, epoch }])));
  const asked = socket().last("subscribe");

  assert.ok(JSON.stringify(asked).length < 256 * 1024);
  assert.ok(Object.keys(asked.after).length > 2000);
});

test("a stream that starts from now asks for nothing older", () => {
  const { socket, follow } = online();
  const { heard } = follow("*");
  socket().push(event(1, 41));
  socket().confirm({ tops: { 1: { off: 41, epoch: "a" }, 2: { off: 7, epoch: "b" } } });

  assert.deepEqual(heard, [41, "live"]);
});

test("a database that is away is asked again, and a retry that comes after a reconnect asks only once", () => {
  const { clock, socket, follow } = online();
  const { heard } = follow("1");
  const asked = () => socket().sent.filter((frame) => frame.type === "subscribe").length;
  const refuse = () =>
    socket().push({
      type: "error",
      ref: socket().last("subscribe").ref,
      code: "unavailable",
      message: "Away.",
    });
  refuse();
  clock.advance(2000);
  assert.equal(asked(), 2);
  refuse();
  socket().end(1012);
  clock.advance(1000);
  socket().welcome();
  clock.advance(3000);
  assert.equal(asked(), 1);
  socket().confirm({ off: 0, epoch: "a" });

  assert.deepEqual(heard, ["live"]);
});

test("a topic that a new login does not cover is refused in words, and not before", () => {
  const { socket, follow } = online();
  const covered = follow("1");
  const other = follow("2");
  socket().push({ type: "unsubscribed", ref: null, topic: "inbox:2" });

  assert.deepEqual(other.heard, ["refused forbidden"]);
  assert.deepEqual(covered.heard, []);
});

test("two that want the same inbox at once are both confirmed by the answer to the newer wish", () => {
  const { socket, follow } = online();
  const one = follow("1", { 1: { off: 5, epoch: "a" } });
  const other = follow("1", { 1: { off: 5, epoch: "a" } });
  socket().push(event(1, 6));
  socket().confirm({ off: 6, epoch: "a" });
  socket().push(event(1, 8));

  assert.deepEqual(one.heard, [6, "live"]);
  assert.deepEqual(other.heard, [6, "live"]);
  assert.notEqual(socket().last("unsubscribe"), undefined);
});

test("what one closes the other still hears", () => {
  const { socket, follow } = online();
  const one = follow("1", { 1: { off: 5, epoch: "a" } });
  const other = follow("1", { 1: { off: 5, epoch: "a" } });
  one.subscription.close();
  socket().confirm({ off: 5, epoch: "a" });
  socket().push(event(1, 6));

  assert.equal(socket().last("unsubscribe"), undefined);
  assert.deepEqual(other.heard, ["live", 6]);
  assert.deepEqual(one.heard, []);
});

test("a new announcement on a live topic teaches histories and finds what is missing", () => {
  const { socket, follow } = online();
  const { heard, subscription } = follow("*", { 1: { off: 5, epoch: "a" } });
  socket().confirm({ tops: { 1: { off: 5, epoch: "a" } } });
  socket().push(event(2, 1));
  assert.equal(subscription.position[2].epoch, null);
  socket().confirm({ tops: { 2: { off: 0, epoch: "b" }, 3: { off: 9, epoch: "c" } } });

  assert.deepEqual(subscription.position[2], { off: 1, epoch: "b" });
  assert.deepEqual(heard, ["live", 1, "reset 3 gap", "live"]);
});

test("what was left out of an event is named", () => {
  const { client, socket } = online();
  const events = [];
  client.inbox("1", { after: { off: 0, epoch: "a" }, onEvent: (message) => events.push(message) });
  socket().push({ ...event(1, 1), truncated: ["message_text"], colour: "green" }, event(1, 2));

  assert.deepEqual(
    events.map((message) => message.truncated),
    [["message_text"], undefined],
  );
});

test("a handler that throws is reported, and neither its topic nor the others miss anything", () => {
  const { client, socket, reported, follow } = online();
  const seen = [];
  client.inbox("*", {
    after: {},
    onEvent: (message) => {
      seen.push(message.off);
      throw new Error("a bug of the page");
    },
  });
  const { heard } = follow("1", { 1: { off: 0, epoch: "a" } });
  socket().push(event(1, 1), event(1, 2));

  assert.deepEqual(seen, [1, 2]);
  assert.deepEqual(heard, [1, 2]);
  assert.deepEqual(reported, ["a bug of the page", "a bug of the page"]);
});

test("with the word of a page for all others no inbox has to be named, and none begins anew", () => {
  const { socket, follow, clock } = online();
  const { heard, subscription } = follow("*", { 1: { off: 5, epoch: "a" }, "*": "10:12:;h" });
  assert.deepEqual(socket().last("subscribe").after, { 1: { off: 5, epoch: "a" }, "*": "10:12:;h" });
  socket().confirm({ tops: { 1: { off: 5, epoch: "a" } } });
  socket().push(event(2, 41), event(2, 42));
  assert.deepEqual(heard, ["live", 41, 42]);
  assert.equal(subscription.position["*"], "10:12:;h");

  socket().end(1006);
  clock.advance(2000);
  socket().welcome();
  assert.deepEqual(socket().last("subscribe").after, { 1: { off: 5, epoch: "a" }, "*": "10:12:;h" });
  socket().push(event(2, 41), event(2, 42), event(2, 43));
  socket().confirm({ tops: { 1: { off: 5, epoch: "a" }, 2: { off: 43, epoch: "b" } } });

  assert.deepEqual(heard, ["live", 41, 42, 43, "live"]);
  assert.deepEqual(subscription.position[2], { off: 43, epoch: "b" });
});
