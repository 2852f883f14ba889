import assert from "node:assert/strict";
import { test } from "node:test";

import { CATALOGUES } from "../../gateway/ui/common/strings.js";
import { modulesOf, ROOM_PX, sideOf } from "../../gateway/ui/sessions/code-size.js";
import { troubleOf } from "../../gateway/ui/sessions/link-trouble.js";
import { beginLinking, onEnd } from "../../gateway/ui/sessions/linking.js";

const svg = (text) => `data:image/svg+xml;base64,${Buffer.from(text).toString("base64")}`;

test("the modules of a code are read from its picture, and of no other picture", () => {
  assert.equal(modulesOf(svg('<svg width="414" viewBox="0 0 69 69" shape-rendering="crispEdges">')), 69);
  for (const other of [svg('<svg viewBox="0 0 69 70">'), svg("<svg>"), "data:image/png;base64,AAAA", "data:image/svg+xml;base64,A", ""])
    assert.equal(modulesOf(other), null, other);
});

test("codes of 53 to 65 modules have modules of 5 px and fit their frame with the light ones around them", () => {
  for (const modules of [53, 57, 61, 65]) {
    const side = sideOf(modules + 8, ROOM_PX);
    assert.equal(side, (modules + 8) * 5);
    assert.ok(side <= ROOM_PX && modules * 5 >= 265 && modules * 5 <= 325);
  }
});

test("a module is a whole number of the screen's pixels at every zoom, and the code never wider than its room", () => {
  for (const ratio of [0.5, 0.9, 1, 1.1, 1.25, 1.5, 2, 2.625, 3]) {
    for (const room of [240, 272, 300, ROOM_PX]) {
      for (const modules of [61, 65, 69, 73]) {
        const side = sideOf(modules, room, ratio);
        const pixels = (side * ratio) / modules;
        assert.ok(Math.abs(pixels - Math.round(pixels)) < 1e-9 && pixels >= 1, `${ratio} ${room} ${modules}`);
        assert.ok(side <= room + 1e-6 && side > room - modules / ratio - 1e-6, `${ratio} ${room} ${modules} ${side}`);
      }
    }
  }
});

test("a picture that does not say its modules fills the room", () => {
  assert.equal(sideOf(null, 300.7), 300);
});

test("an error in linking is told by its code, with the server's sentence in the details", () => {
  const view = onEnd(beginLinking(0), { reason: "error", error: { code: "upstream_unauthorized", message: "WasenderAPI refuses the account token." } }, 1);

  assert.equal(view.phase, "error");
  assert.deepEqual(troubleOf(view), {
    title: "trouble.token",
    hint: "trouble.token.hint",
    action: "retry",
    details: "WasenderAPI refuses the account token. (upstream_unauthorized)",
  });
});

test("every code that linking ends with has words of its own, and a new one has words, too", () => {
  const told = (cause) => troubleOf({ cause, error: "x" });
  const codes = ["network", "unavailable", "forbidden", "not_found", "upstream_unauthorized", "upstream_limit", "rate_limited", "upstream_error", "upstream_timeout"];
  for (const code of codes) {
    assert.notEqual(told(code).title, "link.error", code);
    for (const key of [told(code).title, told(code).hint]) assert.ok(key in CATALOGUES.en, key);
  }
  assert.equal(told("constructor").title, "link.error");
  assert.equal(told("teleported").details, "x (teleported)");
  assert.equal(troubleOf({ cause: null, error: null }).details, "");
});

test("an attempt that begins anew forgets why the last one ended", () => {
  const failed = onEnd(beginLinking(0), { reason: "error", error: { code: "rate_limited", message: "Slower." } }, 1);

  assert.equal(onEnd(failed, { reason: "timeout" }, 2).cause, null);
});
