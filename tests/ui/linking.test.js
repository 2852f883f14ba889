import assert from "node:assert/strict";
import { test } from "node:test";

import {
  beginLinking,
  isOver,
  onCode,
  onEnd,
  onFrame,
  onStatus,
  onTick,
  secondsLeft,
} from "../../gateway/ui/sessions/linking.js";

const T0 = Date.parse("2026-03-01T10:00:00Z");
const code = (seq, lifeS = 45, more = {}) => ({
  qr_code: `data:image/svg+xml;base64,${seq}`,
  seq,
  issued_at: new Date(T0).toISOString(),
  expires_at: new Date(T0 + lifeS * 1000).toISOString(),
  ...more,
});
const showing = (seq = 3) => onCode(beginLinking(T0), code(seq), T0);

test("the first code is shown with its remaining life", () => {
  const view = showing();

  assert.equal(view.phase, "qr");
  assert.equal(secondsLeft(view, T0 + 15_500), 30);
});

test("a newer code replaces the picture, an older or equal one is ignored", () => {
  const view = showing(3);

  assert.equal(onCode(view, code(4), T0).code.seq, 4);
  assert.equal(onCode(view, code(2), T0), view);
  assert.equal(onCode(view, code(3), T0), view);
});

test("at the end of its life a code is not sharp any more, and the clock, not the number of ticks, decides", () => {
  const view = showing();

  assert.equal(onTick(view, T0 + 44_999), view);
  assert.equal(onTick(view, T0 + 3_600_000).phase, "refreshing");
  assert.equal(secondsLeft(view, T0 + 3_600_000), 0);
});

test("a dead code that is pulled again stays dim, the next one is sharp", () => {
  const dim = onTick(showing(3), T0 + 50_000);

  assert.equal(onCode(dim, code(3), T0 + 50_000).phase, "refreshing");
  assert.equal(onCode(dim, code(4, 95), T0 + 50_000).phase, "qr");
});

test("a code that is dead on arrival is never shown sharp", () => {
  assert.equal(onCode(beginLinking(T0), code(1, 45), T0 + 60_000).phase, "refreshing");
});

test("once scanned the code leaves the view", () => {
  for (const view of [
    onStatus(showing(), "connecting", T0),
    onCode(showing(), code(3, 45, { scanned_at: "x" }), T0),
  ]) {
    assert.equal(view.phase, "finishing");
    assert.equal(view.code, null);
  }
});

test("a code that is to be scanned after all is asked for again, and shown though it is the same", () => {
  const doubted = onStatus(onStatus(showing(), "connecting", T0), "need_scan", T0);

  assert.equal(doubted.phase, "preparing");
  assert.equal(onCode(doubted, code(3), T0).phase, "qr");
});

test("connecting before there was a code means preparing, not scanned", () => {
  assert.equal(onStatus(beginLinking(T0), "connecting", T0).phase, "preparing");
});

test("a further step on the phone is said, and goes when it is done", () => {
  const asked = onStatus(showing(), "need_passkey", T0);

  assert.deepEqual([asked.phase, asked.note, asked.code], ["finishing", "passkey", null]);
  assert.equal(onStatus(asked, "connecting", T0).note, null);
  assert.equal(onStatus(asked, "need_scan", T0).phase, "preparing");
});

test("a status that is new says that the phone has something to ask, and leaves a living code on show", () => {
  const view = onStatus(showing(), "brand_new_status", T0);

  assert.deepEqual([view.phase, view.note, view.code.seq], ["qr", "passkey", 3]);
  assert.deepEqual([onTick(view, T0 + 60_000).phase, onTick(view, T0 + 60_000).note], ["finishing", "passkey"]);
  assert.equal(onStatus(beginLinking(T0), "brand_new_status", T0).phase, "finishing");
  assert.equal(onStatus(showing(), "qr_ready", T0).note, null);
  const used = onCode(view, code(3, 45, { scanned_at: "x" }), T0);
  assert.deepEqual([used.phase, used.note], ["finishing", "passkey"]);
});

const trouble = (more = {}) => ({ code: "upstream_error", message: "WasenderAPI answered 500.", action: "retry", retry_at: null, ...more });
const troubled = (data) => ({ part: "link", event: "session.link_trouble", data });

test("trouble before the first code is an error that goes on, and a code ends it", () => {
  const view = onFrame(beginLinking(T0), troubled({ trouble: trouble() }), T0);

  assert.deepEqual([view.phase, view.cause, isOver(view)], ["error", "upstream_error", false]);
  assert.equal(onFrame(view, troubled({ trouble: null }), T0).phase, "preparing");
  const shown = onCode(view, code(1, 45, { trouble: null }), T0);
  assert.deepEqual([shown.phase, shown.trouble, shown.error], ["qr", null, null]);
  assert.equal(onFrame(view, troubled({ trouble: trouble({ code: "rate_limited" }) }), T0).cause, "rate_limited");
});

test("in trouble a living code stays to the end of its life, and then the trouble is told", () => {
  const view = onCode(showing(), code(3, 45, { trouble: trouble() }), T0);

  assert.deepEqual([view.phase, view.trouble.code], ["qr", "upstream_error"]);
  assert.deepEqual([onTick(view, T0 + 60_000).phase, onTick(view, T0 + 60_000).code], ["error", null]);
  assert.equal(onCode(view, code(3, 45, { trouble: null }), T0).trouble, null);
  assert.equal(onCode(view, code(3), T0).trouble.code, "upstream_error");
});

test("a reply without a code tells of trouble, too", () => {
  assert.equal(onCode(beginLinking(T0), { qr_code: null, seq: 0, trouble: trouble() }, T0).phase, "error");
});

test("a time-out that was an outage is told as one, and is over", () => {
  const view = onEnd(showing(), { reason: "timeout", error: trouble() }, T0);

  assert.deepEqual([view.phase, view.cause, isOver(view)], ["error", "upstream_error", true]);
  assert.equal(onFrame(view, troubled({ trouble: trouble() }), T0), view);
});

test("a number that is deleted meanwhile is told as gone", () => {
  const view = onFrame(showing(), { part: "session", event: "session.deleted", data: { id: 1 } }, T0);

  assert.deepEqual([view.phase, view.cause], ["error", "session_not_found"]);
});

test("each end has its phase, and success is not taken back", () => {
  const ends = ["connected", "timeout", "cancelled", "error"].map((reason) =>
    onEnd(showing(), { reason, error: "No." }, T0),
  );
  assert.deepEqual(
    ends.map((view) => view.phase),
    ["success", "expired", "expired", "error"],
  );
  assert.deepEqual(
    ends.map((view) => view.code),
    [null, null, null, null],
  );
  assert.equal(ends[3].error, "No.");
  assert.equal(onEnd(ends[0], { reason: "timeout" }, T0).phase, "success");
});

test("connected after a time-out still counts", () => {
  const expired = onEnd(showing(), { reason: "timeout" }, T0);

  assert.equal(onStatus(expired, "connected", T0).phase, "success");
});

test("frames of both parts move the view", () => {
  const link = { part: "link", event: "session.qr", data: code(1) };
  const session = { part: "session", event: "session.status", data: { status: "connected" } };

  assert.equal(onFrame(beginLinking(T0), link, T0).phase, "qr");
  assert.equal(onFrame(showing(), session, T0).phase, "success");
});

test("a viewer's frame without a picture shows nothing", () => {
  assert.equal(onCode(beginLinking(T0), code(1, 45, { qr_code: null }), T0).phase, "preparing");
});
