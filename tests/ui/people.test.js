import assert from "node:assert/strict";
import { test } from "node:test";

import { deviceName, inOrder, isPhone } from "../../gateway/ui/account/devices.js";
import { changesOf, complaintsOf, isMe, makePassword, newPerson, numbersOf } from "../../gateway/ui/people/person.js";

const FORM = { name: "Ann", role: "agent", sessions: [12], password: "" };
const ANN = { id: 7, sub: "user:7", name: "Ann", role: "agent", sessions: [12, 13], disabled_at: null, has_password: true };

test("a form says of each field what is wrong with it", () => {
  assert.deepEqual(complaintsOf(FORM), {});
  assert.deepEqual(complaintsOf({ ...FORM, name: " \t" }), { name: "people.name.missing" });
  assert.deepEqual(complaintsOf({ ...FORM, name: "é".repeat(101) }), { name: "people.name.long" });
  assert.deepEqual(complaintsOf({ ...FORM, sessions: [] }), { sessions: "people.numbers.missing" });
  assert.deepEqual(complaintsOf({ ...FORM, password: "1234567" }), { password: "people.password.short" });
  assert.deepEqual(complaintsOf({ ...FORM, sessions: "*", password: "12345678" }), {});
});

test("a new person without a password is sent without one", () => {
  assert.deepEqual(newPerson({ ...FORM, name: " Ann " }), { name: "Ann", role: "agent", sessions: [12] });
  assert.equal(newPerson({ ...FORM, password: "correct horse" }).password, "correct horse");
});

test("only what changed is sent, so that nobody is logged out by a new name", () => {
  const same = { name: "Ann", role: "agent", sessions: [13, 12], password: "" };
  assert.deepEqual(changesOf(ANN, same), {});
  assert.deepEqual(changesOf(ANN, { ...same, name: "Anna " }), { name: "Anna" });
  assert.deepEqual(changesOf(ANN, { ...same, sessions: "*" }), { sessions: "*" });
  assert.deepEqual(changesOf({ ...ANN, sessions: "*" }, { ...same, sessions: [12] }), { sessions: [12] });
  assert.deepEqual(changesOf(ANN, { ...same, sessions: [12] }), { sessions: [12] });
  assert.deepEqual(changesOf(ANN, { ...same, role: "admin", password: "another horse" }), { role: "admin", password: "another horse" });
});

test("numbers are said by their names, and one that is gone by its id", () => {
  const sessions = [{ id: 12, name: "Front desk", phone_number: "+1" }, { id: 13, name: "", phone_number: "+255711" }];
  assert.equal(numbersOf("*", sessions), "All numbers");
  assert.equal(numbersOf([], sessions), "No number");
  assert.equal(numbersOf([12, 13, 1400], sessions), "Front desk, +255711, Number 1400");
});

test("a person is oneself by what the login is of, not by the name", () => {
  assert.equal(isMe(ANN, { sub: "user:7", name: "Somebody" }), true);
  assert.equal(isMe(ANN, { sub: "user:70", name: "Ann" }), false);
  assert.equal(isMe(ANN, null), false);
});

test("a password that is made up is long, readable and never the same", () => {
  const made = new Set(Array.from({ length: 200 }, () => makePassword()));
  assert.equal(made.size, 200);
  for (const one of made) assert.match(one, /^(?:[a-hj-km-np-z2-9]{4}-){3}[a-hj-km-np-z2-9]{4}$/);
});

test("bytes that would make some letters likelier are not used", () => {
  let calls = 0;
  const made = makePassword((bytes) => bytes.fill(calls++ ? 0 : 255));
  assert.equal(made, "aaaa-aaaa-aaaa-aaaa");
  assert.equal(calls, 2);
});

const AGENTS = {
  firefox: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  chrome: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
  edge: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0",
  iphone: "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1",
  samsung: "Mozilla/5.0 (Linux; Android 15; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
};

test("a browser is said in the words that its owner knows", () => {
  assert.equal(deviceName(AGENTS.firefox), "Firefox on Linux");
  assert.equal(deviceName(AGENTS.chrome), "Chrome on Windows");
  assert.equal(deviceName(AGENTS.edge), "Edge on Windows");
  assert.equal(deviceName(AGENTS.iphone), "Safari on iPhone");
  assert.equal(deviceName(AGENTS.samsung), "Samsung Internet on Android");
  assert.equal(deviceName("curl/8.14.1"), "curl");
  assert.equal(deviceName("x".repeat(500)).length, 40);
  for (const none of [null, "", "  "]) assert.equal(deviceName(none), "Unknown browser");
  assert.deepEqual(Object.values(AGENTS).map(isPhone), [false, false, false, true, true]);
});

test("this browser stands first, the others by their last use", () => {
  const login = (id, seen_at, is_current = false) => ({ id, seen_at, created_at: "2026-11-01T00:00:00Z", is_current });
  const given = [login("old", "2026-11-02T00:00:00Z"), login("never", null), login("this", "2026-11-01T12:00:00Z", true), login("new", "2026-11-03T00:00:00Z")];
  assert.deepEqual(inOrder(given).map((one) => one.id), ["this", "new", "old", "never"]);
  assert.equal(given[0].id, "old");
});
