import assert from "node:assert/strict";
import { test } from "node:test";

import {
  compareConversations,
  compareMessages,
  isShown,
  messageKey,
  nextStatus,
} from "../../gateway/ui/inbox/order.js";

const at = (second) => `2026-03-01T10:00:${String(second).padStart(2, "0")}Z`;
const incoming = (id, second) => ({
  id,
  direction: "in",
  session_id: 1,
  chat: "1@s.whatsapp.net",
  received_at: at(second),
});

test("messages are ordered by the server's time, not by when they came", () => {
  const list = [incoming("3", 30), incoming("1", 20), incoming("2", 10)].sort(compareMessages);

  assert.deepEqual(
    list.map((message) => message.id),
    ["2", "1", "3"],
  );
});

test("messages of one second are ordered by number, where 9 comes before 10", () => {
  const list = [incoming("10", 5), incoming("9", 5), incoming("100", 5)].sort(compareMessages);

  assert.deepEqual(
    list.map((message) => message.id),
    ["9", "10", "100"],
  );
});

test("uuids of one second keep one order whichever way they came", () => {
  const [a, b] = [incoming("0b9c", 5), incoming("f00d", 5)];

  assert.deepEqual([a, b].sort(compareMessages), [b, a].sort(compareMessages));
});

test("an unsent reply is ordered by when it was written", () => {
  const reply = { id: "", direction: "out", session_id: 1, chat: "x", client_id: "c", created_at: at(15) };
  const list = [incoming("2", 20), reply, incoming("1", 10)].sort(compareMessages);

  assert.equal(list[1], reply);
});

test("a reply has one key before and after it has a row; rows of both tables never share one", () => {
  const draft = { id: "", direction: "out", client_id: "c1", session_id: 1, chat: "x" };

  assert.equal(messageKey(draft), messageKey({ ...draft, id: "77" }));
  assert.notEqual(messageKey(incoming("7", 1)), messageKey({ ...incoming("7", 1), direction: "out" }));
});

test("a tick never goes back", () => {
  const shown = ["queued", "delivered", "sent", "read", "delivered"].reduce(
    (old, now) => nextStatus(old, now),
    undefined,
  );

  assert.equal(shown, "read");
});

test("a queued or sent message may fail, a delivered one may not, and a failed one may still go out", () => {
  assert.equal(nextStatus("queued", "failed"), "failed");
  assert.equal(nextStatus("sent", "failed"), "failed");
  assert.equal(nextStatus("delivered", "failed"), "delivered");
  assert.equal(nextStatus("failed", "sent"), "sent");
  assert.equal(nextStatus("unknown", "read"), "read");
});

test("groups, channels and status posts are not shown", () => {
  for (const chat of ["1@g.us", "1@newsletter", "status@broadcast", null, ""])
    assert.equal(isShown(chat), false);
  for (const chat of ["1@s.whatsapp.net", "1@lid", "923001234567"]) assert.equal(isShown(chat), true);
});

test("conversations stand newest first", () => {
  const row = (chat, last_at) => ({ session_id: 1, chat, last_at });
  const list = [row("a", at(1)), row("b", null), row("c", at(9))].sort(compareConversations);

  assert.deepEqual(
    list.map((conversation) => conversation.chat),
    ["c", "a", "b"],
  );
});
