import assert from "node:assert/strict";
import { test } from "node:test";

import { isAddress, readEvents, stateOf } from "../../gateway/ui/admin/target.js";

const FINE = { paused_reason: null, waiting: 0, dead: 0 };

test("a target shows what is worst about it", () => {
  assert.equal(stateOf(FINE), "fine");
  assert.equal(stateOf({ ...FINE, waiting: 3 }), "waiting");
  assert.equal(stateOf({ ...FINE, waiting: 3, dead: 1 }), "dead");
  assert.equal(stateOf({ paused_reason: "401", waiting: 3, dead: 1 }), "paused");
});

test("events are named with commas or spaces, each once; none are all", () => {
  assert.equal(readEvents(" , "), "*");
  assert.deepEqual(readEvents("message.created, message.status message.created"), ["message.created", "message.status"]);
});

test("what cannot be an address is not sent", () => {
  assert.ok(isAddress(" https://shop.example/hook "));
  for (const text of ["", "shop.example", "ftp://shop.example", "https://"]) assert.ok(!isAddress(text), text);
});
