import assert from "node:assert/strict";
import { test } from "node:test";

import { backoffMs, mayReturn } from "../../gateway/ui/client/backoff.js";
import { openableUrl } from "../../gateway/ui/inbox/bubble.js";
import * as format from "../../gateway/ui/common/format.js";
import { beginningOf, hostOf, parseText, plainText } from "../../gateway/ui/inbox/rich-text.js";
import {
  deliveryState,
  messageKind,
  previewOf,
  primaryAction,
  sessionBadge,
} from "../../gateway/ui/common/states.js";
import { chooseLanguage, t } from "../../gateway/ui/common/strings.js";

const NOW = Date.parse("2026-03-01T21:30:00Z");
const session = (status, more = {}) => ({
  id: 1,
  name: "Shop",
  phone_number: "+1",
  status,
  last_connected_at: "2026-01-01T00:00:00Z",
  ...more,
});

test("every status has words and an icon, also one that nobody told us about", () => {
  for (const status of [
    "disconnected",
    "connecting",
    "need_scan",
    "need_passkey",
    "connected",
    "logged_out",
    "expired",
    "gone",
  ]) {
    const badge = sessionBadge(session(status), NOW);
    assert.ok(badge.text && badge.icon, status);
    assert.doesNotMatch(badge.text, /_/);
  }
  assert.equal(sessionBadge(session("two_step_check"), NOW).text, "Two step check");
});

test("a connected session that was not checked for long is not called connected", () => {
  const badge = sessionBadge(
    session("connected", { stale: true, checked_at: new Date(NOW - 240_000).toISOString() }),
    NOW,
  );

  assert.equal(badge.text, "Not sure: last checked 4 minutes ago");
  assert.equal(badge.tone, "warn");
});

test("each state offers the one action that helps", () => {
  const offered = ["connected", "need_scan", "disconnected", "logged_out", "gone"].map(
    (status) => primaryAction(session(status)).action,
  );

  assert.deepEqual(offered, ["open", "show_qr", "connect", "connect", "none"]);
  assert.equal(primaryAction(session("disconnected", { last_connected_at: null })).text, "Link phone");
  assert.equal(primaryAction(session("disconnected")).text, "Reconnect");
});

test("kinds and delivery states that are new have a rendering", () => {
  assert.equal(messageKind({ message_type: "event_invite" }), "unknown");
  assert.equal(deliveryState({ status: "teleported" }), "unknown");
  assert.match(previewOf({ message_type: "event_invite" }), /not supported/);
  assert.equal(previewOf({ message_type: "image", message_text: "Look" }), "Photo: Look");
  assert.equal(previewOf({ message_type: "sticker", message_text: "Sticker" }), "Sticker");
  assert.equal(previewOf({ message_type: "video", message_text: "Video message" }), "Video");
  assert.equal(previewOf({ message_type: "audio", message_text: "Audio" }), "Voice message");
  assert.equal(previewOf({ message_type: "text", message_text: "a\n b" }), "a b");
  assert.equal(
    previewOf({ message_type: "text", message_text: "secret", deleted_at: "x" }),
    t("thread.deleted"),
  );
});

test("days are those of the shop, not of this computer", () => {
  assert.equal(format.dayName(NOW, NOW, "UTC"), "Today");
  assert.equal(format.dayName(NOW - 3 * 3600_000, NOW, "Asia/Karachi"), "Yesterday");
  assert.equal(format.dayName(NOW - 3 * 3600_000, NOW, "UTC"), "Today");
  assert.equal(format.clockTime(NOW, "Asia/Karachi"), "02:30");
  assert.equal(format.dayNumber(NOW, "Asia/Karachi") - format.dayNumber(NOW, "UTC"), 1);
});

test("the day after a change to summer time is one day later", () => {
  const [before, after] = ["2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"].map(Date.parse);

  assert.equal(format.dayNumber(after, "Europe/Berlin") - format.dayNumber(before, "Europe/Berlin"), 1);
});

test("a zone this browser does not know falls back to UTC", () => {
  assert.equal(format.clockTime(NOW, "Mars/Olympus"), "21:30");
});

test("numbers are read in the ways people type them, and only with a country code", () => {
  for (const typed of [
    "+92 300 1234567",
    "0092-300-1234567",
    "+92 (300) 123 4567",
    "+92\u00a0300\u00a01234567",
  ]) {
    assert.equal(format.toE164(typed), "+923001234567", typed);
  }
  for (const typed of ["0300 1234567", "+92", "", "+92 300 12x4567", "+1234567890123456", "+0123456789"]) {
    assert.equal(format.toE164(typed), null, typed);
  }
});

test("numbers are grouped for the eye and other addresses left alone", () => {
  assert.equal(format.formatPhone("923001234567"), "+92 300 1234567");
  assert.equal(format.formatPhone("14155550123"), "+1 415 5550123");
  assert.equal(format.formatPhone("971501234567"), "+971 501 234567");
  assert.equal(format.formatPhone(null), "");
});

test("a chat is called by its name, else its number, else its address", () => {
  assert.equal(format.displayName({ name: " Ali ", phone: "923001234567", chat: "x" }), "Ali");
  assert.equal(format.displayName({ name: null, phone: "923001234567", chat: "x" }), "+92 300 1234567");
  assert.equal(format.displayName({ name: "", phone: null, chat: "8842@lid" }), "8842");
  assert.equal(format.initials("Ayesha Bibi Khan"), "AK");
  assert.equal(format.initials("+92 300"), "#");
});

test("links are http or https only and lose the full stop behind them", () => {
  const parts = parseText("See https://a.example/x?y=1. javascript:alert(1) ftp://b");

  assert.deepEqual(
    parts.filter((part) => part.kind === "link").map((part) => part.text),
    ["https://a.example/x?y=1"],
  );
});

test("an address that leads elsewhere than it reads is no link", () => {
  const kinds = (text) => parseText(text).map((part) => part.kind);
  const turned = "https://bank.com/\u202egpj.exe";

  for (const text of ["https://bank.com@evil.example/x", "https://bank.com:443@evil.example", "https://@evil.example",
    "https://a:b@evil.example", turned, "https://bank\u200b.com/", "https://bank.com:99999/", "https://user@"])
    assert.deepEqual(kinds(`See ${text} now`), ["text"], text);
  for (const text of ["https://bank.com/@me", "https://bank.com/?to=a@b.example", "https://bank.com:8443/x#a@b", "http://1.2.3.4/x"])
    assert.deepEqual(kinds(text), ["link"], text);
});

test("an address says by which name its host is called", () => {
  assert.equal(hostOf("https://BANK.com:443/x"), "bank.com");
  assert.equal(hostOf("https://\u0430pple.com/login"), "xn--pple-43d.com");
  assert.equal(hostOf("https://bank.com\u3002evil.example/"), "bank.com.evil.example");
  assert.equal(hostOf("https://bank.com\\@evil.example"), "bank.com");
});

test("a long text that is cut holds no cut address and no open mark", () => {
  const begin = (text) => beginningOf(parseText(text), 20, 3);
  const marked = begin("```a long piece of codes``` and more");

  assert.deepEqual(begin("Look at https://a.example/very/long"), [
    { kind: "text", text: "Look at " },
    { kind: "text", text: "https://a.ex" },
  ]);
  assert.deepEqual(marked, [{ kind: "code", text: "a long piece of" }]);
  assert.equal(begin("word ".repeat(30))[0].text, "word word word word");
  assert.equal(begin("a\n*b*\nc"), null);
  assert.deepEqual(begin("a\n*b*\nc\nd").map((part) => part.text), ["a\n", "b", "\nc"]);
});

test("WhatsApp's marks format, arithmetic and file names do not", () => {
  const kinds = (text) =>
    parseText(text)
      .map((part) => part.kind)
      .join(" ");

  assert.equal(kinds("*bold* and _it_ and ~no~ and ```x*y```"), "strong text em text s text code");
  assert.equal(kinds("2*3*4 snake_case_name * a *"), "text");
});

test("nothing of a text is lost by formatting it", () => {
  const text = "<img src=x onerror=alert(1)> 5 < 6 & “x”\nline";

  assert.equal(
    parseText(text)
      .map((part) => part.text)
      .join(""),
    text,
  );
});

test("a hostile text is read in reasonable time", () => {
  const begin = performance.now();
  for (const letter of ["*", "_", "~", "`", "*a ", "_a_ ", "https://"])
    parseText(letter.repeat(20_000 / letter.length));

  assert.ok(performance.now() - begin < 2000);
});

test("media opens only where a browser can open it", () => {
  assert.equal(openableUrl("https://cdn.example/a.jpg"), "https://cdn.example/a.jpg");
  for (const url of [
    "https://mmg.whatsapp.net/a",
    "https://x.example/a.enc",
    "javascript:alert(1)",
    "data:text/html,x",
    "",
    null,
  ]) {
    assert.equal(openableUrl(url), null, String(url));
  }
});

test("plurals and parameters are filled in, and a language we lack becomes English", () => {
  assert.equal(t("thread.new", { n: 1 }), "1 new message");
  assert.equal(t("thread.new", { n: 12 }), "12 new messages");
  assert.equal(t("link.title", { name: "{n} $& x" }), "Link “{n} $& x”");
  assert.equal(chooseLanguage("tlh-KX"), "en");
});

test("back-off is anything up to the whole step, and codes from 4500 on are final", () => {
  assert.deepEqual(
    [0, 1, 4, 5, 50].map((attempt) => backoffMs(attempt, () => 1)),
    [1000, 2000, 16000, 30000, 30000],
  );
  assert.equal(
    backoffMs(5, () => 0),
    100,
  );
  assert.deepEqual([1006, 4008, 4499, 4500, 4999].map(mayReturn), [true, true, true, false, false]);
});

test("a name is one line that is seen, is not too long, and turns nothing around", () => {
  const chat = "255711000111@s.whatsapp.net";
  const named = (/** @type {string} */ name) => format.displayName({ name, phone: "255711000111", chat });
  const number = named("");
  for (const name of ["\u200b\u200d\u2060", " \n\t", "\u3164\u2800", "\u202e"]) assert.equal(named(name), number);
  assert.equal(named("  Asha\n\nJuma\u202e  "), "Asha Juma");
  assert.equal(named("محمد علي"), "محمد علي");
  assert.equal(named("👩‍👩‍👧 Ann"), "👩‍👩‍👧 Ann");
  assert.equal([...named("x".repeat(3000))].length, 81);
  assert.ok(named("x".repeat(3000)).endsWith("…"));
});

test("a message of nothing that is seen is empty, and a preview shows no marks", () => {
  const message = { message_type: "text", message_text: "\u200b\u200b" };
  assert.equal(previewOf(/** @type {any} */ (message)), "Empty message");
  assert.equal(plainText("*Two* _bags_ of ```sugar``` 2*3*4"), "Two bags of sugar 2*3*4");
});

test("a file's name turns nothing around, and a long one keeps its ending", () => {
  assert.equal(format.fileName("invoice\u202efdp.exe"), "invoicefdp.exe");
  assert.equal(format.fileName("a.pdf".padEnd(300) + ".exe"), "a.pdf .exe");
  assert.equal(format.fileName("y".repeat(300) + ".exe"), `${"y".repeat(44)}…${"y".repeat(12)}.exe`);
  assert.equal(format.fileName(null), "");
});

test("a name carries no tower of marks, and a preview begins with the first word", () => {
  assert.equal(format.nameLine("Za" + "\u0301".repeat(300)), "Za" + "\u0301".repeat(4));
  assert.equal(format.nameLine("\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd"), "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd");
  assert.equal(previewOf({ message_type: "text", message_text: "\n".repeat(400) + "bottom" }), "bottom");
});
