import assert from "node:assert/strict";
import { test } from "node:test";

import { Conversations } from "../../gateway/ui/inbox/conversations.js";
import { Messages } from "../../gateway/ui/inbox/messages.js";

const CHAT = "923001234567@s.whatsapp.net";
const at = (second) => `2026-03-01T10:00:${String(second).padStart(2, "0")}Z`;
const incoming = (id, more = {}) => ({
  id: String(id),
  direction: "in",
  session_id: 1,
  chat: CHAT,
  phone: "923001234567",
  message_text: `text ${id}`,
  message_type: "text",
  received_at: at(id),
  created_at: at(id),
  is_read: false,
  ...more,
});
const conversation = (more = {}) => ({
  session_id: 1,
  chat: CHAT,
  phone: "923001234567",
  name: "Ali",
  unread: 0,
  replied: false,
  last_message: null,
  last_at: at(0),
  ...more,
});
const list = (conversations, off, next_cursor = null) => ({
  conversations,
  next_cursor,
  position: { 1: { off, epoch: "a" } },
});
const created = (off, data) => ({ inbox: "1", off, epoch: "a", event: "message.created", data });

function loaded(conversations = [conversation()], off = 10) {
  const data = new Conversations();
  data.beginLoad();
  data.finishLoad(list(conversations, off), { append: false });
  return data;
}

test("a new message moves its conversation to the top and counts once", () => {
  const data = loaded([conversation({ chat: "1@s.whatsapp.net", last_at: at(5) }), conversation()]);
  data.apply(created(11, incoming(20)));

  assert.equal(data.rows()[0].chat, CHAT);
  assert.equal(data.rows()[0].unread, 1);
  assert.equal(data.rows()[0].last_message.message_text, "text 20");
});

test("an event the loaded list already holds is not counted again", () => {
  const data = loaded([conversation({ unread: 3 })], 10);
  data.apply(created(10, incoming(20)));

  assert.equal(data.rows()[0].unread, 3);
});

test("an event of a new history is counted although its offset is small", () => {
  const data = loaded([conversation()], 10);
  data.apply({ ...created(1, incoming(20)), epoch: "b" });

  assert.equal(data.rows()[0].unread, 1);
});

test("an event that comes while the list is on its way is neither lost nor counted twice", () => {
  for (const readUpTo of [10, 11]) {
    const data = loaded([conversation()], 10);
    data.beginLoad();
    data.apply(created(11, incoming(20)));
    data.finishLoad(list([conversation({ unread: readUpTo === 11 ? 1 : 0 })], readUpTo), { append: false });

    assert.equal(data.rows()[0].unread, 1, `list read at ${readUpTo}`);
  }
});

test("a conversation that begins while the list is on its way stays in it", () => {
  const data = loaded([], 10);
  data.beginLoad();
  data.apply(created(11, incoming(20, { push_name: "Sara" })));
  data.finishLoad(list([], 10), { append: false });

  assert.deepEqual(
    data.rows().map((row) => [row.name, row.unread]),
    [["Sara", 1]],
  );
});

test("a conversation beyond the loaded page is shown at once and its count asked of the server", () => {
  const data = loaded([]);

  assert.equal(data.apply(created(11, incoming(20))), "refresh");
  assert.equal(data.rows().length, 1);
});

test("a late older message counts as unread and does not become the last one", () => {
  const data = loaded([conversation({ last_message: incoming(30), last_at: at(30) })]);
  data.apply(created(11, incoming(20)));

  assert.equal(data.rows()[0].unread, 1);
  assert.equal(data.rows()[0].last_message.id, "30");
});

test("a reply marks the conversation as replied and is not unread", () => {
  const data = loaded();
  data.apply(created(11, { ...incoming(20), direction: "out", sent_at: at(20), status: "sent" }));

  assert.equal(data.rows()[0].replied, true);
  assert.equal(data.rows()[0].unread, 0);
});

test("group messages make no row", () => {
  const data = loaded([]);
  data.apply(created(11, incoming(20, { chat: "1203@g.us" })));

  assert.deepEqual(data.rows(), []);
});

test("what reading elsewhere does to a count is asked of the server", () => {
  const data = loaded([conversation({ unread: 2 })]);

  assert.equal(
    data.apply({ ...created(11, incoming(5, { is_read: true })), event: "message.updated" }),
    "refresh",
  );
});

test("under a search a stranger's message is not slipped in, the server is asked", () => {
  const data = loaded([]);
  data.query.search = "ali";

  assert.equal(data.apply(created(11, incoming(20))), "refresh");
  assert.deepEqual(data.rows(), []);
});

test("under a session filter a message of another session is counted and not shown", () => {
  const data = loaded([]);
  data.query.session = 2;
  data.apply(created(11, incoming(20)));

  assert.deepEqual(data.rows(), []);
  assert.equal(data.unread, 1);
});

test("a next page is added and a reload replaces", () => {
  const data = loaded([conversation()]);
  data.beginLoad();
  data.finishLoad(list([conversation({ chat: "2@s.whatsapp.net" })], 10, "more"), { append: true });
  assert.equal(data.rows().length, 2);
  data.beginLoad();
  data.finishLoad(list([conversation()], 10), { append: false });

  assert.equal(data.rows().length, 1);
  assert.equal(data.nextCursor, null);
});

const page = (messages, off, more = {}) => ({
  messages,
  has_more: false,
  before: null,
  position: { 1: { off, epoch: "a" } },
  ...more,
});

function thread(messages = [incoming(1), incoming(2)], off = 10) {
  const data = new Messages(1, CHAT);
  data.beginLoad();
  data.finishLoad(page(messages, off));
  return data;
}

const texts = (data) => data.list().map((message) => message.message_text);

test("a thread shows each message once, in order, whatever comes twice or late", () => {
  const data = thread();
  for (const [off, id] of [
    [11, 9],
    [12, 4],
    [12, 4],
    [13, 9],
  ])
    data.apply(created(off, incoming(id)));

  assert.deepEqual(texts(data), ["text 1", "text 2", "text 4", "text 9"]);
});

test("a message of another chat or session is not shown here", () => {
  const data = thread();

  assert.equal(data.apply(created(11, incoming(3, { chat: "1@s.whatsapp.net" }))), "none");
  assert.equal(data.apply(created(11, incoming(3, { session_id: 2 }))), "none");
  assert.equal(data.size, 2);
});

test("an event that comes while the thread is on its way is kept, an older one does not undo what was read", () => {
  const data = new Messages(1, CHAT);
  data.beginLoad();
  data.apply(created(9, incoming(1, { message_text: "first version" })));
  data.apply(created(11, incoming(3)));
  data.finishLoad(page([incoming(1)], 10));

  assert.deepEqual(texts(data), ["text 1", "text 3"]);
});

test("a deleted row goes, a message deleted by its sender stays with a mark", () => {
  const data = thread();
  data.apply({ ...created(11, incoming(1, { deleted_at: at(50) })), event: "message.deleted" });
  data.apply({
    ...created(12, { id: "2", direction: "in", session_id: 1, chat: null }),
    event: "message.deleted",
  });

  assert.deepEqual(
    data.list().map((message) => [message.id, Boolean(message.deleted_at)]),
    [["1", true]],
  );
});

test("a reply shown at once becomes its row without a second bubble, whichever comes first", () => {
  const draft = {
    ...incoming(0),
    id: "",
    direction: "out",
    client_id: "c1",
    status: "queued",
    created_at: at(40),
  };
  const row = { ...draft, id: "88", status: "sent", sent_at: at(41) };
  const data = thread([]);
  data.put(draft);
  data.apply(created(11, row));
  data.put({ ...row, status: "queued" });

  assert.deepEqual(
    data.list().map((message) => [message.id, message.status]),
    [["88", "sent"]],
  );
});

test("a reload keeps a reply that the server has not seen", () => {
  const data = thread();
  data.put({
    ...incoming(0),
    id: "",
    direction: "out",
    client_id: "c1",
    status: "queued",
    created_at: at(40),
  });
  data.beginLoad();
  data.finishLoad(page([incoming(1)], 12));

  assert.equal(data.size, 2);
});

test("older pages come in front and do not overwrite newer knowledge", () => {
  const data = thread([incoming(5, { edited_at: at(9) })]);
  data.prepend(page([incoming(4), incoming(5)], 8, { has_more: true, before: "c" }));

  assert.deepEqual(texts(data), ["text 4", "text 5"]);
  assert.equal(data.list()[1].edited_at, at(9));
  assert.equal(data.before, "c");
});

const windowed = (more) => {
  const data = new Messages(1, CHAT);
  data.beginLoad();
  data.finishLoad(page([incoming(10), incoming(20)], 10, more));
  return data;
};

test("what lies before or behind the window is not put beside strangers", () => {
  const data = windowed({ has_before: true, has_after: true });

  assert.equal(data.apply(created(11, incoming(5))), "none");
  assert.equal(data.apply(created(12, incoming(30))), "beyond");
  assert.equal(data.apply({ ...created(13, incoming(5, { edited_at: at(31) })), event: "message.updated" }), "none");
  assert.equal(data.apply(created(14, incoming(15))), "changed");
  assert.deepEqual(texts(data), ["text 10", "text 15", "text 20"]);
});

test("at the thread's own ends everything comes in", () => {
  const data = windowed({ has_before: false, has_after: false });
  data.apply(created(11, incoming(5)));
  data.apply(created(12, incoming(30)));

  assert.deepEqual(texts(data), ["text 5", "text 10", "text 20", "text 30"]);
});

test("a change of a message in the window changes it in its place", () => {
  const data = windowed({ has_before: true, has_after: true });
  const edited = { ...created(11, incoming(10, { message_text: "new" })), event: "message.updated" };

  assert.equal(data.apply(edited), "changed");
  assert.deepEqual(texts(data), ["new", "text 20"]);
});

test("what was seen goes on with every event of the number, whatever its chat", () => {
  const data = windowed({});
  data.apply(created(11, incoming(3, { chat: "1@s.whatsapp.net" })));

  assert.deepEqual(data.seen, { off: 11, epoch: "a" });
});

test("hundreds of changes cost hundreds of steps, not their square", () => {
  const many = Array.from({ length: 5000 }, (_, n) =>
    incoming(n, { received_at: new Date(1e12 + n * 1000).toISOString(), created_at: new Date(1e12 + n * 1000).toISOString() }),
  );
  const data = thread(many, 10);
  const begin = performance.now();
  for (let n = 0; n < 2000; n += 1)
    data.apply({ ...created(11 + n, { ...many[n], is_read: true }), event: "message.updated" });

  assert.ok(performance.now() - begin < 2000);
  assert.equal(data.size, 5000);
});

test("the server's totals count on between two words of it", () => {
  const data = new Conversations();
  data.beginLoad();
  data.finishLoad({ ...list([conversation({ replied: true })], 10), totals: { all: 184, unread: 12, unreplied: 5 } }, {});
  data.apply(created(11, incoming(20)));
  assert.deepEqual([data.unread, data.totals.unreplied], [13, 6]);
  data.markRead(`1|${CHAT}`);
  assert.equal(data.unread, 12);
});

test("a chat answered on the phone is neither unread nor unanswered", () => {
  const data = loaded([conversation({ unread: 2, last_message: incoming(1) })]);
  data.apply(created(11, { ...incoming(20), direction: "out", sent_at: at(20), status: "sent", origin: "phone" }));

  assert.deepEqual([data.rows()[0].unread, data.rows()[0].replied], [0, true]);
});

test("what waits to be sent answers nothing until it goes", () => {
  const data = loaded([conversation({ unread: 0, last_message: incoming(1), last_at: at(1) })]);
  const queued = { ...incoming(20), direction: "out", status: "queued", client_id: "c" };
  data.apply(created(11, queued));
  assert.deepEqual([data.rows()[0].last_message.id, data.rows()[0].replied], ["1", false]);
  data.apply({ ...created(12, { ...queued, status: "sent", sent_at: at(21) }), event: "message.status" });
  assert.deepEqual([data.rows()[0].last_message.status, data.rows()[0].replied], ["sent", true]);
});

test("marks that a colleague set are shown, and are no message of the thread", () => {
  const marks = { session_id: 1, chat: CHAT, owner: "user:2", owner_name: "Ali", done_at: at(30), marked_unread_at: null };
  const event = { inbox: "1", off: 11, epoch: "a", event: "conversation.updated", data: marks };
  const data = loaded();
  const messages = thread();

  assert.equal(data.apply(event), "refresh");
  assert.deepEqual([data.rows()[0].owner_name, data.rows()[0].done], ["Ali", true]);
  assert.equal(messages.apply(event), "none");
  assert.equal(messages.size, 2);
});
