import assert from "node:assert/strict";
import { test } from "node:test";

import { isNameTyped, phoneFor } from "../../gateway/ui/sessions/session-facts.js";

test("who may only read sees the country and the last digits of a number", () => {
  assert.equal(phoneFor("255711000111", true), "+255 711 000111");
  assert.equal(phoneFor("255711000111", false), "+255 ••• •••111");
  assert.equal(phoneFor("14155550123", false), "+1 ••• ••••123");
  assert.equal(phoneFor(null, false), "");
});

test("a number is deleted only after its name was typed", () => {
  assert.ok(isNameTyped(" front  desk ", "Front desk"));
  assert.ok(isNameTyped("Cafe\u0301", "Café"));
  for (const typed of ["", " ", "Front", "Front desk 2"]) assert.equal(isNameTyped(typed, "Front desk"), false, typed);
  assert.equal(isNameTyped("", ""), false);
});
