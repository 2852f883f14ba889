import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";

import { CATALOGUES, directionOf, language, t, useLanguage } from "../../gateway/ui/common/strings.js";

const UI = new URL("../../gateway/ui/", import.meta.url);
const { en } = CATALOGUES;
const forms = (text) => (typeof text === "string" ? { other: text } : text);
const params = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();

test("every language has every text, and none that English lacks", () => {
  for (const [code, catalogue] of Object.entries(CATALOGUES))
    assert.deepEqual(Object.keys(catalogue).sort(), Object.keys(en).sort(), code);
});

test("a text that depends on a number can be said of every number", () => {
  for (const [code, catalogue] of Object.entries(CATALOGUES)) {
    const rules = new Intl.PluralRules(code);
    for (const [key, text] of Object.entries(catalogue)) {
      if (typeof text === "string") continue;
      assert.ok(text.other, `${code} ${key}`);
      for (const form of Object.keys(text)) assert.match(form, /^(zero|one|two|few|many|other)$/, `${code} ${key}`);
      for (const n of [0, 1, 2, 3, 11, 100, 1_000_000]) assert.ok(text[rules.select(n)] ?? text.other, `${code} ${key} ${n}`);
    }
  }
});

test("a translation fills in what the English text fills in, but for numbers that its words say", () => {
  for (const [code, catalogue] of Object.entries(CATALOGUES)) {
    for (const [key, text] of Object.entries(catalogue)) {
      const wanted = params(forms(en[key]).other);
      for (const form of Object.values(forms(text))) {
        const given = new Set([...params(form), "n"]);
        assert.deepEqual([...new Set([...wanted, "n"])].sort(), [...given].sort(), `${code} ${key}`);
      }
    }
  }
});

test("every text that a script asks for is there, and every one that is there is asked for", async () => {
  const names = (await readdir(UI, { recursive: true })).filter((name) => name.endsWith(".js") && !name.includes("texts/"));
  const scripts = (await Promise.all(names.map((name) => readFile(new URL(name, UI), "utf8")))).join("\n");
  const asked = [...scripts.matchAll(/\bt\(\s*"([a-z_.]+)"/g)].map((match) => match[1]);
  assert.deepEqual(asked.filter((key) => !(key in en)), []);
  const families = [...scripts.matchAll(/`([a-z_]+(?:\.[a-z_]+)*\.)\$\{/g)].map((match) => match[1]);
  const unused = Object.keys(en).filter(
    (key) => !scripts.includes(`"${key}"`) && !families.some((family) => key.startsWith(family)),
  );
  assert.deepEqual(unused, []);
});

test("the language is the one asked for, and the page turns with it", () => {
  useLanguage("ar-EG");
  assert.equal(language(), "ar");
  assert.equal(t("thread.today"), "اليوم");
  assert.equal(t("list.unread.label", { n: 3 }), "3 رسائل غير مقروءة");
  assert.equal(t("list.unread.label", { n: 11 }), "11 رسالة غير مقروءة");
  assert.deepEqual(["ar-EG", "en-GB", "ur"].map(directionOf), ["rtl", "ltr", "rtl"]);
  useLanguage("tlh");
  assert.equal(language(), "en");
});
